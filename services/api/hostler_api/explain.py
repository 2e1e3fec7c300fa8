"""Why a job is where it is and what happens next, in words: the answer of `GET /v1/jobs/{job}/explain`.

Pure: made from the record and from the latest scaling decision. It says nothing that the log does not hold.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from hostler_domain.changes import JobScaled
from hostler_domain.job import Job, Replica
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.replica_states import START_STATES, ReplicaReason, ReplicaState


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReplicaExplained(_Answer):
    """What one replica does. `outdated` ones are to be replaced; `text` is how far it is, or why it ends or has ended."""

    replica_id: str
    state: ReplicaState
    since: datetime
    node: str
    generation: int
    outdated: bool
    reason: ReplicaReason | None
    fraction: float | None
    text: str


class ScalingExplained(_Answer):
    """The latest decision about the number of replicas."""

    at: datetime
    previous_replicas: int
    desired_replicas: int
    reasons: tuple[str, ...]


class Explanation(_Answer):
    """A job explained. `why` has a line per node or fact, `next` what happens by itself or what to do."""

    job_id: str
    name: str
    phase: JobPhase
    phase_since: datetime
    phase_reason: PhaseReason | None
    why: tuple[str, ...]
    generation: int
    desired_replicas: int
    ready_replicas: int
    replicas: tuple[ReplicaExplained, ...]
    scaling: ScalingExplained | None
    next: tuple[str, ...]


def explanation(job: Job, scaled: JobScaled | None) -> Explanation:
    """`job` explained, with the latest scaling decision if there was one."""
    status = job.status
    return Explanation(
        job_id=job.job_id,
        name=job.spec.name,
        phase=status.phase,
        phase_since=status.phase_since,
        phase_reason=status.phase_reason,
        why=_why(job),
        generation=job.generation,
        desired_replicas=job.wanted_replicas,
        ready_replicas=len(job.ready_replicas),
        replicas=tuple(_replica(job, each) for each in job.replicas),
        scaling=None
        if scaled is None
        else ScalingExplained(
            at=scaled.at,
            previous_replicas=scaled.previous_replicas,
            desired_replicas=scaled.desired_replicas,
            reasons=scaled.reasons,
        ),
        next=_next(job),
    )


def _why(job: Job) -> tuple[str, ...]:
    detail = job.status.phase_detail
    if job.status.phase_reason in (PhaseReason.NO_CAPACITY, PhaseReason.NO_MATCHING_HARDWARE):
        # The scheduler writes one clause per node.
        return tuple(detail.split("; "))
    return (detail,) if detail else ()


def _replica(job: Job, replica: Replica) -> ReplicaExplained:
    progress = replica.progress
    return ReplicaExplained(
        replica_id=replica.replica_id,
        state=replica.state,
        since=replica.since,
        node=replica.placement.node_key,
        generation=replica.generation,
        outdated=replica.active and replica.generation < job.generation,
        reason=replica.reason,
        fraction=progress.fraction if progress else None,
        text=replica.detail or (progress.detail if progress else ""),
    )


def _next(job: Job) -> tuple[str, ...]:
    reason = job.status.phase_reason
    if reason is PhaseReason.BACKING_OFF:
        when = job.status.phase_detail.partition(": ")[0]
        return (f"{when}; after repeated failures with nothing serving the job is given up",)
    if reason is PhaseReason.NO_CAPACITY:
        return ("a replica is placed as soon as a node has room", *_starts(job))
    if reason is PhaseReason.NO_MATCHING_HARDWARE:
        return ("nothing until a node that fits reports itself, or the job is updated to what there is",)
    return _by_phase(job)


def _by_phase(job: Job) -> tuple[str, ...]:
    match job.status.phase:
        case JobPhase.RUNNING if job.wanted_replicas == 0:
            return ("it sleeps; the next request wakes it",)
        case JobPhase.RUNNING:
            return _starts(job)
        case JobPhase.UPDATING:
            old = len(job.outdated_replicas)
            return (f"{_count(old)} an earlier generation; they are replaced one at a time", *_starts(job))
        case JobPhase.STOPPING | JobPhase.DELETING:
            left = sum(not replica.ended for replica in job.replicas)
            return (f"{_count(left)} to finish the requests under way and end",)
        case JobPhase.STOPPED:
            return ("nothing; resume starts it over",)
        case JobPhase.FAILED:
            return ("nothing by itself; update what is wrong and resume it, or delete it",)
        case JobPhase.DELETED:
            return ()
        case _:
            return (
                ("the scheduler looks for places for what is missing", *_starts(job))
                if (len(job.active_replicas) < job.wanted_replicas)
                else _starts(job)
            )


def _starts(job: Job) -> tuple[str, ...]:
    """Until when each start has time."""
    patience = timedelta(seconds=job.spec.timeouts.initialization_seconds)
    return tuple(
        f"replica {replica.replica_id} must be ready by {replica.created_at + patience:%Y-%m-%dT%H:%M:%SZ}"
        for replica in job.replicas
        if replica.state in START_STATES
    )


def _count(replicas: int) -> str:
    return "1 replica has" if replicas == 1 else f"{replicas} replicas have"
