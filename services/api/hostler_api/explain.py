"""Why a job is where it is and what happens next, in words: the answer of `GET /v1/jobs/{job}/explain`.

Pure: made from the record and from the latest scaling decision. It says nothing that the log does not hold.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from hostler_contracts.placements import PlacementAnswer, ShareTold, VictimTold
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


class NodeExplained(_Answer):
    """What one node says to one more replica: a line per predicate that says no, none where it can take it."""

    node: str
    refusals: tuple[str, ...]


class PlacementExplained(_Answer):
    """Why the next replica has no place, as a scheduler sees it at this moment.

    `nodes` are all there are; `share` is what the project's quota and limit come to, a line each; `gives_way` has a line for every
    replica that drains, or is about to, so that this job gets its room.
    """

    nodes: tuple[NodeExplained, ...]
    share: tuple[str, ...]
    gives_way: tuple[str, ...]


class Explanation(_Answer):
    """A job explained. `why` has a line per node or fact, `next` what happens by itself or what to do.

    `placement` is there for a job that lacks replicas, unless no scheduler answered.
    """

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
    placement: PlacementExplained | None = None


def explanation(job: Job, scaled: JobScaled | None, placement: PlacementAnswer | None = None) -> Explanation:
    """`job` explained, with the latest scaling decision if there was one, and what a scheduler says if one was asked."""
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
        placement=_placement(job, placement) if placement is not None and placement.found else None,
    )


def _placement(job: Job, told: PlacementAnswer) -> PlacementExplained:
    return PlacementExplained(
        nodes=tuple(
            NodeExplained(
                node=each.node, refusals=tuple(f"{name}: {reason}" for name, reason in each.refusals)
            )
            for each in told.nodes
        ),
        share=tuple(_share(told.share)) if told.share is not None and told.share.needed else (),
        gives_way=tuple(_victim(job, each) for each in told.victims),
    )


def _share(told: ShareTold) -> Iterator[str]:
    for name, bound, held, counts in (
        ("quota for replicas that can't be preempted", told.quota, told.guaranteed, told.guaranteed_next),
        ("limit", told.limit, told.held, True),
    ):
        if bound is None:
            yield f"{name}: none; project {told.project} holds {held}"
        elif not counts:
            yield f"{name}: {held} of {bound} GPUs held; the next replica does not count"
        else:
            over = "over" if held + told.needed > bound else "within"
            yield f"{name}: {held} of {bound} GPUs held, and {told.needed} more are {over} it"


def _victim(job: Job, told: VictimTold) -> str:
    own = told.project == job.spec.project
    # What other projects run is none of this project's business, that it is less urgent is.
    whose = f"replica {told.replica_id} of job {told.job_id}" if own else "a replica of another project"
    does = "drains" if told.draining else "is to drain"
    return f"{whose} (priority {told.priority}) on {told.node} {does}"


def _why(job: Job) -> tuple[str, ...]:
    detail = job.status.phase_detail
    if job.status.phase_reason in (
        PhaseReason.NO_CAPACITY,
        PhaseReason.NO_MATCHING_HARDWARE,
        PhaseReason.PREEMPTED,
    ):
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
    if reason is PhaseReason.OVER_LIMIT:
        return ("a replica is placed when others of the project have ended, or an admin raises its limit",)
    if reason is PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA:
        return (
            "nothing until the project gives GPUs back or gets more, or a preemptible job is made in its place",
        )
    if reason in (PhaseReason.NO_CAPACITY, PhaseReason.PREEMPTED):
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
