"""What the scheduler can decide to do, and which change of a job each decision is.

`place.plan` makes these, the service appends their changes in the plan's order.
"""

from dataclasses import dataclass
from datetime import datetime

from hostler_domain.changes import Change, JobPending, ReplicaDraining, ReplicaScheduled
from hostler_domain.commands import GiveUpJob, decide
from hostler_domain.job import Job, Placement
from hostler_domain.lifecycle import FinishStop
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason


@dataclass(frozen=True, slots=True)
class ScheduleReplica:
    """Give a new replica its place."""

    job_id: str
    replica_id: str
    placement: Placement
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrainReplica:
    """Let a replica finish what it has and end; its room is kept for the job `yields_to`, if that is given."""

    job_id: str
    replica_id: str
    reason: ReplicaReason
    yields_to: str | None = None


@dataclass(frozen=True, slots=True)
class HoldJob:
    """Say why a job waits for a place."""

    job_id: str
    reason: PhaseReason
    detail: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop trying to start a job."""

    job_id: str
    reason: PhaseReason
    detail: str


@dataclass(frozen=True, slots=True)
class TellStopped:
    """Say that a job that was to stop has nothing left that runs.

    The scheduler says it and not a provisioner, because it alone sees the replicas of every cluster, and because a stopped job
    keeps everything else that belongs to it: there is nothing to take away first.
    """

    job_id: str


Action = ScheduleReplica | DrainReplica | HoldJob | GiveUp | TellStopped


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again.

    Attributes:
        actions: In the order in which they are to be done; those of one job build on each other.
        look_again_at: When something becomes possible that no event will tell of, such as the end of a wait; None for never.
    """

    actions: tuple[Action, ...]
    look_again_at: datetime | None


def changes_of(job: Job, action: Action, *, at: datetime) -> tuple[Change, ...]:
    """The changes of `job` that do `action`; none where it has become pointless."""
    match action:
        case ScheduleReplica():
            return (ReplicaScheduled(at, action.replica_id, action.placement, action.reasons),)
        case DrainReplica():
            return (ReplicaDraining(at, action.replica_id, action.reason, action.yields_to),)
        case HoldJob():
            return (JobPending(at, action.reason, action.detail),)
        case GiveUp():
            return decide(job, GiveUpJob(at, action.reason, action.detail))
        case TellStopped():
            return decide(job, FinishStop(at))
