"""Jobs, replicas and events in words. Pure: `now` is an argument."""

from collections.abc import Callable, Mapping
from datetime import datetime

from hostler_client.models import Job, JobEvent, Replica, Routing, ScheduledBounds
from hostler_domain.advice import REASON
from hostler_domain.routing import Balancing

_SHORT_ID_LENGTH = 8
_HOUR_SECONDS = 3600
_DAY_SECONDS = 86400

JOB_HEADINGS = ("NAME", "PHASE", "READY", "MODEL", "PROFILE", "AGE", "ID")
REPLICA_HEADINGS = ("REPLICA", "STATE", "SINCE", "PLACE", "WHAT")
EVENT_HEADINGS = ("SEQUENCE", "TIME", "EVENT", "WHAT")


def job_row(job: Job, now: datetime) -> tuple[str, ...]:
    """One line of a list."""
    ready = f"{job.status.ready_replicas}/{job.status.desired_replicas}"
    return (
        job.name,
        job.phase,
        ready,
        job.model or job.spec.kind,
        job.spec.hardware_profile,
        age(job.created_at, now),
        job.job_id,
    )


def job_lines(job: Job, now: datetime) -> tuple[str, ...]:
    """One job in full, without its replicas."""
    scaling = job.spec.scaling
    why = ": ".join(text for text in (job.status.phase_reason, job.status.phase_detail) if text)
    targets = ", ".join(
        f"{each.metric} {each.threshold:g}" + ("" if each.percentage == 100 else f" at {each.percentage} %")
        for each in scaling.targets
    )
    return (
        f"name      {job.name}",
        f"id        {job.job_id}",
        f"project   {job.project}",
        f"model     {job.model}" if job.model else f"kind      {job.spec.kind}",
        f"runtime   {job.spec.runtime} on {job.spec.hardware_profile}",
        f"phase     {job.phase}" + (f" ({why})" if why else "") + f" for {age(job.status.phase_since, now)}",
        f"replicas  {job.status.ready_replicas} ready of {job.status.desired_replicas} wanted, {scaling.min_replicas} to {scaling.max_replicas} allowed",
        f"targets   {targets or 'none'}",
        *(f"schedule  {_window_text(each)}" for each in scaling.schedule),
        *_hold_lines(job, now),
        *(
            f"advice    {each.message}"
            for each in job.status.conditions
            if each.status and each.reason == REASON
        ),
        f"routing   {routing_text(job.spec.routing)}",
        f"created   {job.created_at:%Y-%m-%d %H:%M:%S %Z}, {age(job.created_at, now)} ago",
    )


def _window_text(window: ScheduledBounds) -> str:
    bounds = f"{_number(window.min_replicas)}..{_number(window.max_replicas)}"
    return f"{window.start} ({window.time_zone}) for {window.duration_seconds // 60} min: {bounds} replicas"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _hold_lines(job: Job, now: datetime) -> tuple[str, ...]:
    hold = job.status.hold
    if hold is None or hold.until <= now:
        return ()
    return (f"held      at {hold.replicas} until {hold.until:%Y-%m-%d %H:%M:%S %Z}",)


def routing_text(routing: Routing) -> str:
    """What the owner chose; bounds that are left to the routers are not told."""
    balancing = routing.balancing
    if balancing == Balancing.PREFIX:
        balancing = f"{balancing} of {routing.prefix_chars} characters"
    elif balancing == Balancing.SESSION:
        balancing = f"{balancing} by {routing.session_header}"
    bounds = (
        (routing.concurrency_per_replica, "{} at once on a replica"),
        (routing.queue_max, "{} may wait"),
        (routing.queue_timeout_seconds, "for {} s at most"),
    )
    return ", ".join(
        (
            balancing,
            *(text.format(value) for value, text in bounds if value is not None),
            *(() if routing.resume_streams else ("no stream is resumed",)),
            *((f"also {' and '.join(routing.extra_routes)}",) if routing.extra_routes else ()),
        )
    )


def replica_row(replica: Replica, now: datetime) -> tuple[str, ...]:
    """One replica of a job."""
    place = f"{replica.placement.cluster}/{replica.placement.node}" if replica.placement else ""
    return (short(replica.replica_id), replica.state, age(replica.since, now), place, replica_text(replica))


def replica_text(replica: Replica) -> str:
    """How far a replica is, or why it ended."""
    if replica.reason or replica.detail:
        return ": ".join(text for text in (replica.reason, replica.detail) if text)
    if replica.progress is None:
        return ""
    share = "" if replica.progress.fraction is None else f"{replica.progress.fraction:.0%}"
    return " ".join(text for text in (share, replica.progress.detail) if text)


def event_row(event: JobEvent) -> tuple[str, ...]:
    """One line of a history."""
    return (str(event.sequence), f"{event.time.astimezone():%H:%M:%S.%f}"[:-3], event.name, event_text(event))


def event_text(event: JobEvent) -> str:
    """What an event says beyond its name."""
    change = event.data.change
    replica = change.get("replica_id")
    words = [short(str(replica))] if replica else []
    describe = _DESCRIBED.get(event.name, _plain)
    words.append(describe(change, event.data.job))
    return " ".join(word for word in words if word)


def age(since: datetime, now: datetime) -> str:
    """A length of time in its largest unit: `42s`, `7m`, `3h`, `12d`."""
    seconds = max(int((now - since).total_seconds()), 0)
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 2 * _HOUR_SECONDS:
        return f"{seconds // 60}m"
    if seconds < 2 * _DAY_SECONDS:
        return f"{seconds // _HOUR_SECONDS}h"
    return f"{seconds // _DAY_SECONDS}d"


def short(identifier: str) -> str:
    """The end of an id: ids sort by time, so their beginnings are alike and their ends are not."""
    return identifier[-_SHORT_ID_LENGTH:]


Change = Mapping[str, object]


def _created(change: Change, job: Job) -> str:
    del change
    scaling = job.spec.scaling
    bounds = (
        f"{scaling.min_replicas}"
        if scaling.min_replicas == scaling.max_replicas
        else f"{scaling.min_replicas} to {scaling.max_replicas}"
    )
    return f"{job.model} as {job.name}, {bounds} on {job.spec.hardware_profile}"


def _scaled(change: Change, job: Job) -> str:
    del job
    hold = change.get("hold")
    held = f", held until {hold.get('until')}" if isinstance(hold, Mapping) else ""
    return f"{change.get('previous_replicas')} -> {change.get('desired_replicas')} replicas{held}" + _reasons(
        change
    )


def _advised(change: Change, job: Job) -> str:
    del job
    advice = change.get("advice")
    told = (
        [str(each.get("sentence")) for each in advice if isinstance(each, Mapping)]
        if isinstance(advice, list)
        else []
    )
    return "; ".join(told) or "nothing to change any more"


def _scheduled(change: Change, job: Job) -> str:
    del job
    place = change.get("placement")
    where = f"{place.get('cluster')}/{place.get('node')}" if isinstance(place, Mapping) else "somewhere"
    return f"on {where}" + _reasons(change)


def _step(change: Change, job: Job) -> str:
    del job
    progress = change.get("progress")
    if not isinstance(progress, Mapping):
        return ""
    fraction = progress.get("fraction")
    share = f"{fraction:.0%} " if isinstance(fraction, int | float) else ""
    return f"{share}{progress.get('detail') or ''}".strip()


def _ready(change: Change, job: Job) -> str:
    del change
    return f"serves; {job.status.ready_replicas} of {job.status.desired_replicas} ready"


def _plain(change: Change, job: Job) -> str:
    """Reason and detail, which most events have and no other words are needed for."""
    del job
    by = change.get("requested_by")
    texts = (f"by {by}" if by else None, change.get("reason"), change.get("detail"))
    return ": ".join(str(text) for text in texts if text)


def _reasons(change: Change) -> str:
    reasons = change.get("reasons")
    return (
        f": {'; '.join(str(reason) for reason in reasons)}" if isinstance(reasons, list) and reasons else ""
    )


def _rolled_out(change: Change, job: Job) -> str:
    by = f" by {change['requested_by']}" if change.get("requested_by") else ""
    return f"generation {change.get('generation')}, {job.status.desired_replicas} wanted{by}"


_DESCRIBED: Mapping[str, Callable[[Change, Job], str]] = {
    "job.created": _created,
    "job.scaled": _scaled,
    "job.advised": _advised,
    "job.restart_requested": _rolled_out,
    "job.updated": _rolled_out,
    "replica.scheduled": _scheduled,
    "replica.importing": _step,
    "replica.booting": _step,
    "replica.loading": _step,
    "replica.ready": _ready,
}
