"""What the API answers, as pydantic models.

Answers are read leniently: a field or a word that a newer API adds is kept as it came and breaks nothing, so states and
phases are text here.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from hostler_contracts.envelope import event_name
from hostler_domain.replica_states import ENDED_STATES, ReplicaState


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class ScalingTarget(_Answer):
    """One thing to keep to; the threshold is in the metric's unit."""

    metric: str
    threshold: float
    percentage: int = 100


class ScheduledBounds(_Answer):
    """A window of time in which narrower bounds hold."""

    start: str
    duration_seconds: int
    time_zone: str = "UTC"
    min_replicas: int | None = None
    max_replicas: int | None = None


class ScaleHold(_Answer):
    """A number of replicas that the job's owner asked for until a moment; it may be over."""

    replicas: int
    until: datetime


class ShadowScaling(_Answer):
    """What a second policy goes by, whose decisions are written down and not carried out; None is as the job has it."""

    targets: tuple[ScalingTarget, ...] | None = None
    stabilisation_window_seconds: int | None = None
    mode: str | None = None


class Scaling(_Answer):
    """Bounds and targets."""

    min_replicas: int
    max_replicas: int
    targets: tuple[ScalingTarget, ...] = ()
    stabilisation_window_seconds: int = 300
    mode: str = "target"
    schedule: tuple[ScheduledBounds, ...] = ()
    shadow: ShadowScaling | None = None


class Routing(_Answer):
    """How requests reach the replicas; None leaves a bound to the router's settings."""

    balancing: str = "least-outstanding"
    prefix_chars: int = 1024
    session_header: str = "x-session-id"
    concurrency_per_replica: int | None = None
    queue_max: int | None = None
    queue_timeout_seconds: int | None = None
    resume_streams: bool = True
    extra_routes: tuple[str, ...] = ()


class JobSpec(_Answer):
    """What the user wants."""

    name: str
    project: str
    model: str
    runtime: str
    hardware_profile: str
    gpu_count: int
    scaling: Scaling
    routing: Routing = Routing()
    kind: str = "inference"
    location: str | None = None
    locations: tuple[str, ...] = ()
    priority: int | None = None
    preemptible: bool = False


class Placement(_Answer):
    """Where a replica runs."""

    cluster: str
    node: str


class Progress(_Answer):
    """How far a start has got within its present state; `fraction` is None where nobody can tell."""

    fraction: float | None = None
    detail: str = ""


class Replica(_Answer):
    """One serving copy of a job."""

    replica_id: str
    state: str
    since: datetime
    created_at: datetime
    generation: int = 1
    placement: Placement | None = None
    ready_at: datetime | None = None
    progress: Progress | None = None
    reason: str | None = None
    detail: str = ""

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        return self.state == ReplicaState.READY

    @property
    def ended(self) -> bool:
        """Whether it holds nothing any more."""
        return self.state in ENDED_STATES


class Condition(_Answer):
    """One fact about a job, in the form that Kubernetes gives to conditions; advice about its scaling is among them."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""
    last_transition_at: datetime | None = None


class JobStatus(_Answer):
    """How a job stands."""

    phase: str
    phase_since: datetime
    phase_reason: str | None = None
    phase_detail: str = ""
    desired_phase: str = ""
    desired_replicas: int
    ready_replicas: int = 0
    replicas: tuple[Replica, ...] = ()
    hold: ScaleHold | None = None
    conditions: tuple[Condition, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _count_ready(cls, value: object) -> object:
        """The record inside an event lacks the count that documents have."""
        if isinstance(value, dict) and "ready_replicas" not in value:
            ready = [each for each in value.get("replicas", ()) if each.get("state") == ReplicaState.READY]
            return {**value, "ready_replicas": len(ready)}
        return value


class Job(_Answer):
    """A job, read from a document of the API or from the record inside an event.

    Attributes:
        job_id: Its id.
        name: Unique among the project's living jobs.
        project: Who it belongs to.
        model: What it serves.
        spec: What the user wants.
        status: How it stands.
        generation: Counts the changes of `spec`.
        created_at: When it was asked for.
        deleted_at: When everything of it was gone.
        revision: Sequence of its latest event.
    """

    job_id: str
    name: str
    project: str
    model: str
    spec: JobSpec
    status: JobStatus
    generation: int
    created_at: datetime
    created_by: str = ""
    deleted_at: datetime | None = None
    revision: int = 0

    @model_validator(mode="before")
    @classmethod
    def _lift_names(cls, value: object) -> object:
        """The record inside an event has these in its spec alone."""
        if isinstance(value, dict) and isinstance(spec := value.get("spec"), dict):
            return {key: spec[key] for key in ("name", "project", "model") if key in spec} | value
        return value

    @property
    def phase(self) -> str:
        """Where it is."""
        return self.status.phase

    @property
    def living_replicas(self) -> tuple[Replica, ...]:
        """Replicas that have not ended."""
        return tuple(replica for replica in self.status.replicas if not replica.ended)


class ReplicaList(_Answer):
    """Replicas of a job: those that live, and the latest that ended."""

    data: tuple[Replica, ...]


class ReplicaLog(_Answer):
    """A part of what a replica wrote: whole lines, the place behind them, and whether nothing more will come."""

    replica_id: str
    text: str
    next: int
    ended: bool = False


class JobPage(_Answer):
    """One page of jobs, newest first."""

    data: tuple[Job, ...]
    has_more: bool = False
    next: str | None = None


class EventData(_Answer):
    """What happened, and the job after it."""

    change: dict[str, JsonValue]
    job: Job


class JobEvent(_Answer):
    """One event of a job's history: a CloudEvent and its place in the log."""

    sequence: int
    id: str
    type: str
    subject: str
    time: datetime
    source: str
    project: str
    correlationid: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    data: EventData

    @property
    def name(self) -> str:
        """Short name, such as `replica.ready`."""
        return event_name(self.type)

    @property
    def job(self) -> Job:
        """The job after it, at this event's revision."""
        return self.data.job.model_copy(update={"revision": self.sequence})


class EventPage(_Answer):
    """One page of a history, oldest first."""

    data: tuple[JobEvent, ...]
    has_more: bool = False
    next: int | None = None


class ReplicaExplained(_Answer):
    """What one replica does, and since when."""

    replica_id: str
    state: str
    since: datetime
    node: str = ""
    generation: int = 1
    outdated: bool = False
    reason: str | None = None
    fraction: float | None = None
    text: str = ""


class ScalingExplained(_Answer):
    """The latest decision about the number of replicas."""

    at: datetime
    previous_replicas: int
    desired_replicas: int
    reasons: tuple[str, ...] = ()


class NodeExplained(_Answer):
    """What one node says to one more replica; nothing where it can take it."""

    node: str
    refusals: tuple[str, ...] = ()


class PlacementExplained(_Answer):
    """Why the next replica has no place: every node, what the project's bounds come to, and who gives way."""

    nodes: tuple[NodeExplained, ...] = ()
    share: tuple[str, ...] = ()
    gives_way: tuple[str, ...] = ()


class Explanation(_Answer):
    """Why a job is where it is (`why`: a line per node or fact), and what happens next."""

    job_id: str
    name: str
    phase: str
    phase_since: datetime
    phase_reason: str | None = None
    why: tuple[str, ...] = ()
    generation: int = 1
    desired_replicas: int = 0
    ready_replicas: int = 0
    replicas: tuple[ReplicaExplained, ...] = ()
    scaling: ScalingExplained | None = None
    next: tuple[str, ...] = ()
    placement: PlacementExplained | None = None


class DeadLetter(_Answer):
    """A message that a consumer has given up; `failures` counts how often, replays included."""

    id: str
    stream: str
    consumer: str
    sequence: int
    subject: str = ""
    stored_at: datetime | None = None
    state: str
    reason: str = ""
    deliveries: int = 0
    failures: int = 1
    given_up_at: datetime
    replays: int = 0
    handled_at: datetime | None = None
    handled_by: str | None = None


class DeadLetterWithMessage(DeadLetter):
    """One letter with its message; `body` is text, or base64 where `body_encoding` says so."""

    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    body_encoding: str = "utf-8"


class DeadLetterPage(_Answer):
    """One page of letters, latest given up first."""

    data: tuple[DeadLetter, ...]
    has_more: bool = False
    next: str | None = None


class Sample(_Answer):
    """One point of a series; without a value where nothing is known, which is not the same as 0."""

    at: datetime
    value: float | None = None


class MetricSeries(_Answer):
    """One series, oldest sample first; each sample stands for the time since the one before it."""

    name: str
    samples: tuple[Sample, ...]


class JobMetrics(_Answer):
    """What a job, or one of its replicas, did over time. Where `complete` is false gaps say nothing about the job."""

    job_id: str
    replica_id: str | None = None
    start: datetime
    end: datetime
    complete: bool = True
    reason: str = ""
    series: tuple[MetricSeries, ...] = ()
