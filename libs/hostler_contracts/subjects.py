"""Names on the wire, written once: streams, buckets and the subjects in them.

Everything that publishes, subscribes or declares takes its names from here. A subject is made by a function that checks
its tokens, because a project or an id with a dot or a wildcard in it would address somebody else's messages.
"""

import re

ROOT = "hostler"

JOBS = "JOBS"
METRICS = "METRICS"
USAGE = "USAGE"
AUDIT = "AUDIT"
DEAD_LETTER_ADVISORIES = "DEADLETTERS_ADVISORIES"
DEAD_LETTERS = "DEADLETTERS"
REPLAYS = "REPLAYS"
DECISIONS = "DECISIONS"

JOBS_SUBJECTS = f"{ROOT}.jobs.>"
ROUTERS_LOAD = f"{ROOT}.routers.load"
"""At which routers tell each other what they have under way; no stream takes it."""
METRICS_SUBJECTS = f"{ROOT}.metrics.>"
DEAD_LETTERS_SUBJECTS = f"{ROOT}.deadletters.>"
REPLAYS_SUBJECTS = f"{ROOT}.replays.>"
USAGE_SUBJECTS = f"{ROOT}.usage.>"
AUDIT_SUBJECTS = f"{ROOT}.audit.>"
DECISIONS_SUBJECTS = f"{ROOT}.decisions.>"
DEAD_LETTER_ADVISORIES_SUBJECTS = (
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
    "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
)
"""Under which the NATS server itself publishes."""

BUCKET_API_KEYS = "api_keys"
BUCKET_KEY_USES = "key_uses"
BUCKET_MODEL_MASTERS = "model_masters"
BUCKET_HARDWARE_PROFILES = "hardware_profiles"
BUCKET_PROJECTS = "projects"
BUCKET_NODES = "nodes"
BUCKET_AUTOSCALER = "autoscaler"
BUCKET_LEASES = "leases"
BUCKET_ROUTERS = "routers"
BUCKET_SECRETS = "secrets"
BUCKET_IDEMPOTENCY = "idempotency"
BUCKET_NAMES = "names"

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


class BadToken(ValueError):
    """A value that can't stand between the dots of a subject."""


def token(value: str) -> str:
    """`value` if it can be one token of a subject.

    Raises:
        BadToken: it holds anything but letters, digits, `_` and `-`, or is empty or longer than 128 characters.
    """
    if not _TOKEN.fullmatch(value):
        raise BadToken(f"{value!r} can't be part of a subject: letters, digits, '_' and '-' only")
    return value


def event_token(event_name: str) -> str:
    """The last token of an event's subject: `replica.ready` becomes `replica-ready`."""
    return token(event_name.replace(".", "-"))


def job_event(project: str, job_id: str, event_name: str) -> str:
    """Subject of one event of one job, such as `hostler.jobs.default.0192….job-created`."""
    return f"{ROOT}.jobs.{token(project)}.{token(job_id)}.{event_token(event_name)}"


def job_events(project: str, job_id: str) -> str:
    """Filter that takes every event of one job; the compare-and-set of an append is against the last of these."""
    return f"{ROOT}.jobs.{token(project)}.{token(job_id)}.*"


def job_events_any_project(job_id: str) -> str:
    """Filter that takes every event of the job, whatever its project."""
    return f"{ROOT}.jobs.*.{token(job_id)}.*"


def job_events_of_kind(event_name: str) -> str:
    """Filter that takes the events of one kind of every job."""
    return f"{ROOT}.jobs.*.*.{event_token(event_name)}"


def metrics(project: str, job_id: str) -> str:
    """Subject of the load windows of one job."""
    return f"{ROOT}.metrics.{token(project)}.{token(job_id)}"


def dead_letter(stream: str, consumer: str, seq: int) -> str:
    """Subject of everything about one dead letter, such as `hostler.deadletters.JOBS.ledger.42`."""
    return f"{ROOT}.deadletters.{token(stream)}.{token(consumer)}.{token(str(seq))}"


def replays(stream: str, consumer: str) -> str:
    """Subject of what a consumer of a stream is to take again."""
    return f"{ROOT}.replays.{token(stream)}.{token(consumer)}"


def usage(project: str, job_id: str) -> str:
    """Subject of the finished requests of one job."""
    return f"{ROOT}.usage.{token(project)}.{token(job_id)}"


def audit(project: str, action: str) -> str:
    """Subject of what was done in one project, such as `hostler.audit.default.key-created`."""
    return f"{ROOT}.audit.{token(project)}.{event_token(action)}"


def decisions(project: str, job_id: str) -> str:
    """Subject of what the autoscaler decided about one job."""
    return f"{ROOT}.decisions.{token(project)}.{token(job_id)}"


SCHEDULER_EXPLAIN = f"{ROOT}.rpc.scheduler.explain"
"""Request subject at which any scheduler says why a job has no place."""


AUTOSCALER_SIMULATE = f"{ROOT}.rpc.autoscaler.simulate"
"""Request subject at which any autoscaler replays a job's recorded traffic under other settings."""


def router_in_flight(router: str) -> str:
    """Request subject at which one router says how many requests it still has on a replica."""
    return f"{ROOT}.rpc.router.{token(router)}.in_flight"


def provisioner_logs(cluster: str) -> str:
    """Request subject at which the provisioner of a cluster gives out what a replica wrote."""
    return f"{ROOT}.rpc.provisioner.{token(cluster)}.logs"
