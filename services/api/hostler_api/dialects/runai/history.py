"""A job's events as Run:ai's events, history and revisions. Pure: values of the log in, answers out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from hostler_api.dialects.runai import ids
from hostler_api.dialects.runai.arguments import args_line
from hostler_api.dialects.runai.history_documents import (
    EventAnswer,
    InvolvedObject,
    PhaseUpdate,
    RecordAnswer,
    RecordMeta,
    RecordSpec,
    RevisionAnswer,
)
from hostler_api.dialects.runai.workloads import Names, images, phase_word, requested_pods
from hostler_contracts import codec
from hostler_contracts.job_events import JobEvent, UnknownJobEventV0
from hostler_domain.job import Job
from hostler_domain.phases import JobPhase

_WARNINGS = frozenset({"job.pending", "job.failed", "job.unreachable", "replica.failed", "replica.unhealthy"})
_TOLD = ("reason", "detail", "reasons", "desired_replicas", "generation", "requested_by")
"""Fields of a change that are worth a word in its message, in this order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a job.

    Attributes:
        event: As it lies in the log.
        entered: The phase that it led to, where that is another than before.
    """

    event: JobEvent
    entered: JobPhase | None

    @property
    def job(self) -> Job:
        """The job after it."""
        return self.event.data.job

    @property
    def generation(self) -> int:
        """What it is about: the replica's generation, or the job's at that time."""
        replica = self.job.replica(self.replica_id or "")
        return self.job.generation if replica is None else replica.generation

    @property
    def replica_id(self) -> str | None:
        """The replica that it is about."""
        if isinstance(self.event, UnknownJobEventV0):
            return None
        return getattr(self.event.data.change, "replica_id", None)


def steps(events: Sequence[JobEvent]) -> tuple[Step, ...]:
    """The events of a job, oldest first, each with the phase that it led to."""
    found = []
    before: JobPhase | None = None
    for event in events:
        phase = event.data.job.status.phase
        found.append(Step(event, None if phase is before else phase))
        before = phase
    return tuple(found)


def event_answer(step: Step) -> EventAnswer:
    """One event."""
    event, job, replica_id = step.event, step.job, step.replica_id
    name = codec.name_of(event)
    return EventAnswer(
        created_at=event.time,
        id=ids.canonical(event.id) or ids.named_id("event", event.id),
        type="Warning" if name in _WARNINGS else "Normal",
        cluster_id=ids.CLUSTER_ID,
        message=_message(step, name),
        reason=name.replace(".", "_").title().replace("_", ""),
        source=event.source,
        involved_object=InvolvedObject(
            uid=replica_id or job.job_id,
            kind="Pod" if replica_id else "Inference",
            name=f"{job.spec.name}-{replica_id[-12:]}" if replica_id else job.spec.name,
            namespace=job.spec.project,
        ),
    )


def records(found: Sequence[Step]) -> Iterator[RecordAnswer]:
    """The history, newest first: every event, and above it the phase that it led to."""
    for step in reversed(found):
        if step.entered is not None:
            status = step.job.status
            update = PhaseUpdate(phase=phase_word(step.entered), phase_message=status.phase_detail)
            yield RecordAnswer(
                meta=RecordMeta(creation_timestamp=step.event.time, type="PhaseUpdate"),
                spec=RecordSpec(phase_update=update),
            )
        yield RecordAnswer(
            meta=RecordMeta(creation_timestamp=step.event.time, type="Event"),
            spec=RecordSpec(event=event_answer(step)),
        )


def revisions(found: Sequence[Step], names: Names) -> tuple[RevisionAnswer, ...]:
    """One for each generation, newest first: what the replicas of that time were made from."""
    if not found:
        return ()
    present = found[-1].job
    first: dict[int, Step] = {}
    for step in found:
        first.setdefault(step.job.generation, step)
    return tuple(_revision(step, present, names) for _, step in sorted(first.items(), reverse=True))


def _revision(step: Step, present: Job, names: Names) -> RevisionAnswer:
    job = step.job
    living = [
        replica for replica in present.replicas if replica.generation == job.generation and not replica.ended
    ]
    phase: JobPhase = present.status.phase
    since: datetime = present.status.phase_since
    if job.generation < present.generation:
        # What was replaced ends with its last replica, and then it is stopped for good.
        phase = JobPhase.TERMINATING if living else JobPhase.STOPPED
        since = max(
            (each.since for each in present.replicas if each.generation == job.generation),
            default=step.event.time,
        )
    return RevisionAnswer(
        type="hostler-revision",
        name=f"{job.spec.name}-{job.generation:05}",
        id=ids.revision_id(job.job_id, job.generation),
        workload_id=job.job_id,
        tenant_id=ids.TENANT_ID,
        cluster_id=ids.CLUSTER_ID,
        project_id=ids.project_id(job.spec.project, names.projects),
        department_id=ids.DEPARTMENT_ID,
        created_at=step.event.time,
        deleted_at=present.deleted_at,
        requested_pods=requested_pods(present if job.generation == present.generation else job),
        requested_node_pools=(job.spec.hardware_profile,),
        running_pods=sum(replica in present.ready_replicas for replica in living),
        images=images(job.spec),
        environment_variables=dict(job.spec.serving.env),
        arguments=args_line(job.spec.model, job.spec.serving.args),
        phase=phase_word(phase),
        phase_updated_at=since,
    )


def _message(step: Step, name: str) -> str:
    """The event in words: its name, and what it tells besides."""
    what, _, happened = name.partition(".")
    words = f"{what} {happened.replace('_', ' ')}"
    change = step.event.data.change
    if isinstance(change, dict):
        return words
    told = {each.name: getattr(change, each.name) for each in fields(change)}
    details = [
        f"{part.replace('_', ' ')}: {'; '.join(told[part]) if isinstance(told[part], tuple) else told[part]}"
        for part in _TOLD
        if told.get(part)
    ]
    return ", ".join((words, *details))
