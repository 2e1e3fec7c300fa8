"""What can have happened to a job: one record per kind of event in its log.

A change is a fact with a time, small and final; `evolve` folds it into the job. Who may write which is written in
ARCHITECTURE.md: the api writes wishes, the scheduler placements, the provisioner what became of replicas, the autoscaler
`JobScaled`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hostler_domain.catalogue import ModelMaster
from hostler_domain.job import JobSpec, Placement, Progress, ScaleHold
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason


@dataclass(frozen=True, slots=True)
class JobCreated:
    """A job was asked for and is valid."""

    at: datetime
    job_id: str
    spec: JobSpec
    master: ModelMaster | None
    created_by: str


@dataclass(frozen=True, slots=True)
class JobPending:
    """Some replica of it has no place; `detail` holds every node and what it lacks."""

    at: datetime
    reason: PhaseReason
    detail: str


@dataclass(frozen=True, slots=True)
class JobScaled:
    """It shall have another number of replicas, or keep its number for a while.

    Attributes:
        at: When that was decided.
        previous_replicas: How many it should have before.
        desired_replicas: How many from now on.
        reasons: The numbers that led there.
        policy_state: What the autoscaler's policy remembered then, as its own small JSON; None where somebody scaled by hand.
        hold: Until when nothing but its owner changes the number; None lets its load change it.
    """

    at: datetime
    previous_replicas: int
    desired_replicas: int
    reasons: tuple[str, ...]
    policy_state: str | None = None
    hold: ScaleHold | None = None


@dataclass(frozen=True, slots=True)
class GivenAdvice:
    """One thing that the job's owner might change.

    Attributes:
        kind: What it is about, such as `raise_min_replicas`.
        sentence: What to do, with the evidence.
        numbers: The evidence.
    """

    kind: str
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobAdvised:
    """What its owner might change, as the autoscaler sees it: all that holds from now on; none takes the last back."""

    at: datetime
    advice: tuple[GivenAdvice, ...]


@dataclass(frozen=True, slots=True)
class JobStopRequested:
    """It shall hold no machine until somebody resumes it."""

    at: datetime
    requested_by: str


@dataclass(frozen=True, slots=True)
class JobStopped:
    """None of its replicas is left; what it is made from stays."""

    at: datetime


@dataclass(frozen=True, slots=True)
class JobResumeRequested:
    """It shall start over, after a stop or after it was given up; earlier failures count no more."""

    at: datetime
    requested_by: str


@dataclass(frozen=True, slots=True)
class JobRestartRequested:
    """Every replica shall be replaced by one of `generation`, though nothing else changes."""

    at: datetime
    generation: int
    requested_by: str


@dataclass(frozen=True, slots=True)
class JobUpdated:
    """Its spec is another; replicas of a generation below `generation` are to be replaced."""

    at: datetime
    spec: JobSpec
    generation: int
    requested_by: str


@dataclass(frozen=True, slots=True)
class JobFailed:
    """It was given up: trying again by itself would be no use."""

    at: datetime
    reason: PhaseReason
    detail: str


@dataclass(frozen=True, slots=True)
class JobUnreachable:
    """The cluster of all its replicas does not answer; how they are is not known, and nothing is done about them."""

    at: datetime
    cluster: str
    detail: str


@dataclass(frozen=True, slots=True)
class JobDeleteRequested:
    """It shall go with everything that belongs to it."""

    at: datetime
    requested_by: str


@dataclass(frozen=True, slots=True)
class JobDeleted:
    """Nothing of it runs or is stored any more but this history."""

    at: datetime


@dataclass(frozen=True, slots=True)
class ReplicaScheduled:
    """A new replica has a place."""

    at: datetime
    replica_id: str
    placement: Placement
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicaImporting:
    """Its root disk is being made."""

    at: datetime
    replica_id: str
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class ReplicaBooting:
    """Its machine runs, its runtime does not answer yet."""

    at: datetime
    replica_id: str
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class ReplicaLoading:
    """Its runtime answers, the weights are not in."""

    at: datetime
    replica_id: str
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class ReplicaReady:
    """It serves at `endpoint_url`, for the first time or again."""

    at: datetime
    replica_id: str
    endpoint_url: str


@dataclass(frozen=True, slots=True)
class ReplicaUnhealthy:
    """It stopped answering its health checks."""

    at: datetime
    replica_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReplicaDraining:
    """It gets no new requests and ends when the last one is answered.

    Attributes:
        at: When that was decided.
        replica_id: Which one.
        reason: Why.
        yields_to: Job that its room is kept for; None for nobody's in particular.
    """

    at: datetime
    replica_id: str
    reason: ReplicaReason
    yields_to: str | None = None


@dataclass(frozen=True, slots=True)
class ReplicaTerminating:
    """Its machine is being taken down."""

    at: datetime
    replica_id: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaTerminated:
    """Nothing of it is left."""

    at: datetime
    replica_id: str


@dataclass(frozen=True, slots=True)
class ReplicaFailed:
    """It ended, or was given up, by a fault."""

    at: datetime
    replica_id: str
    reason: ReplicaReason
    detail: str


StartStep = ReplicaImporting | ReplicaBooting | ReplicaLoading
"""How far a start has got."""

ReplicaChange = (
    ReplicaScheduled
    | StartStep
    | ReplicaReady
    | ReplicaUnhealthy
    | ReplicaDraining
    | ReplicaTerminating
    | ReplicaTerminated
    | ReplicaFailed
)
JobChange = (
    JobCreated
    | JobPending
    | JobScaled
    | JobAdvised
    | JobStopRequested
    | JobStopped
    | JobResumeRequested
    | JobRestartRequested
    | JobUpdated
    | JobFailed
    | JobUnreachable
    | JobDeleteRequested
    | JobDeleted
)
Change = JobChange | ReplicaChange
