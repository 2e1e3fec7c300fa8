"""The job: what a user asked to have served, and how it stands.

One record with one id, which callers know as `deployment_id` and the Run:ai dialect as `workloadId`. Every event carries
the whole of it, so everything here must be a plain value that survives JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from hostler_domain.capacity import Resources
from hostler_domain.catalogue import ModelMaster
from hostler_domain.external import ExternalServers
from hostler_domain.kinds import JobKind
from hostler_domain.phases import SETTLED_PHASES, DesiredPhase, JobPhase, PhaseReason
from hostler_domain.replica_states import ACTIVE_STATES, ENDED_STATES, ReplicaReason, ReplicaState
from hostler_domain.routing import Routing
from hostler_domain.scaling import Scaling

DEFAULT_PROJECT = "default"
ENDED_REPLICAS_KEPT = 5
"""How many ended replicas a record remembers, the latest first to be kept: enough to see why starts fail."""


class EndpointAuth(StrEnum):
    """Who may call a job."""

    KEY = "key"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Serving:
    """How the runtime is started: its arguments and environment, after the model master was merged in."""

    args: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait.

    Attributes:
        initialization_seconds: From a replica's placement until it is ready.
        request_seconds: For one request, to its last byte.
    """

    initialization_seconds: int = 1800
    request_seconds: int = 600


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What the user wants.

    Attributes:
        name: Unique among the project's living jobs.
        project: Who it belongs to.
        model: Hugging Face id; empty for a job without an endpoint.
        runtime: Kind of inference server, or `machine`.
        runtime_image: What a machine boots; None where the backend needs none.
        serving: Arguments and environment of the runtime.
        hardware_profile: Kind of machine each replica asks for.
        gpu_count: GPUs per replica.
        location: Site the replicas must be in; None where `locations` says it, or anywhere is right.
        labels: The user's own.
        priority: 0 to 150, Run:ai's numbers.
        preemptible: Whether any replica may be taken away for a job of higher priority; those above `min_replicas` always may.
        scaling: Bounds and targets.
        endpoint_auth: Who may call it.
        timeouts: How long to wait.
        root_disk_gb: Size of each replica's root disk; None for the backend's own.
        hf_token_secret: Name of the sealed Hugging Face token, never the token.
        external: The servers that a job with the runtime `external` adopts; None for every other.
        routing: How requests reach its replicas.
        kind: What it is for.
        ssh_keys: Public keys that open the machine of a job without an endpoint.
        locations: Several sites that the replicas may be in, the preferred first; empty where `location` says it.
    """

    name: str
    project: str
    model: str
    runtime: str
    runtime_image: str | None
    serving: Serving
    hardware_profile: str
    gpu_count: int
    scaling: Scaling
    location: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 150
    preemptible: bool = False
    endpoint_auth: EndpointAuth = EndpointAuth.KEY
    timeouts: Timeouts = field(default_factory=Timeouts)
    hf_token_secret: str | None = None
    external: ExternalServers | None = None
    root_disk_gb: int | None = None
    routing: Routing = field(default_factory=Routing)
    kind: JobKind = JobKind.INFERENCE
    ssh_keys: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()

    @property
    def sites(self) -> tuple[str, ...]:
        """Where its replicas may be, the preferred site first; empty for anywhere."""
        return self.locations or (() if self.location is None else (self.location,))

    @property
    def guaranteed_replicas(self) -> int:
        """How many replicas nobody may take away: the minimum, unless the whole job is preemptible."""
        return 0 if self.preemptible else self.scaling.min_replicas


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a replica is to run and what it holds there."""

    cluster: str
    node: str
    taken: Resources

    @property
    def node_key(self) -> str:
        """The node's name across clusters."""
        return f"{self.cluster}/{self.node}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a start has got within its present state.

    Attributes:
        fraction: 0 to 1; None where the backend can't tell.
        detail: A few words for people.
    """

    fraction: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Replica:
    """One serving copy of a job.

    Attributes:
        replica_id: Its own for ever; a replacement gets another.
        generation: Generation of the job that it was made from.
        state: Where it is.
        since: When it came there.
        placement: Where it runs.
        created_at: When it was placed.
        ready_at: When it first served; None before that.
        endpoint_url: Base address of its server, once it answers.
        progress: How far its start has got.
        reason: Why it is ending or has ended.
        detail: The same in words.
        yields_to: Job that its room is kept for, once it is given back; None for nobody's in particular.
    """

    replica_id: str
    generation: int
    state: ReplicaState
    since: datetime
    placement: Placement
    created_at: datetime
    ready_at: datetime | None = None
    endpoint_url: str | None = None
    progress: Progress | None = None
    reason: ReplicaReason | None = None
    detail: str = ""
    yields_to: str | None = None

    @property
    def active(self) -> bool:
        """Whether it counts towards the desired number."""
        return self.state in ACTIVE_STATES

    @property
    def ended(self) -> bool:
        """Whether it holds nothing any more."""
        return self.state in ENDED_STATES


@dataclass(frozen=True, slots=True)
class Condition:
    """One fact about a job, in the form that Kubernetes gives to conditions."""

    type: str
    status: bool
    reason: str
    message: str
    last_transition_at: datetime


@dataclass(frozen=True, slots=True)
class ScaleHold:
    """A number of replicas that the job's owner has asked for until a moment; its load does not change it before.

    Attributes:
        replicas: The number, within the job's bounds.
        until: When the load counts again.
    """

    replicas: int
    until: datetime


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How the job stands.

    Attributes:
        phase: Where it is.
        phase_reason: Why, where the phase alone does not say it.
        phase_detail: The same in words; for a waiting job every node and what it lacks.
        phase_since: When the phase last changed.
        desired_phase: What the user last asked for.
        desired_replicas: How many the autoscaler wants.
        conditions: Further facts, `ScaledToZero` among them.
        first_ready_at: When it first had its minimum; None before that.
        start_failures: Replicas in a row that ended before they were ready.
        last_failure_at: When the latest of them, or of any failed replica, ended.
        replicas: Those that live and the latest that ended, by id.
        hold: The number that its owner last held it at, also when that is over; None where there was none.
    """

    phase: JobPhase
    phase_since: datetime
    desired_phase: DesiredPhase
    desired_replicas: int
    phase_reason: PhaseReason | None = None
    phase_detail: str = ""
    conditions: tuple[Condition, ...] = ()
    first_ready_at: datetime | None = None
    start_failures: int = 0
    last_failure_at: datetime | None = None
    replicas: tuple[Replica, ...] = ()
    hold: ScaleHold | None = None

    def held(self, now: datetime) -> ScaleHold | None:
        """The hold, if it is not over."""
        return self.hold if self.hold is not None and now < self.hold.until else None


@dataclass(frozen=True, slots=True)
class Job:
    """The whole record.

    Attributes:
        job_id: UUIDv7.
        spec: What the user wants.
        master: The model master as it was when the job was made; None for a job without one.
        status: How it stands.
        generation: Counts what its replicas are made from, from 1: up with every change of `spec` that they must be made anew
            for, and with every restart.
        created_at: When it was asked for.
        created_by: Id of the key that asked.
        deleted_at: When everything of it was gone.
    """

    job_id: str
    spec: JobSpec
    master: ModelMaster | None
    status: JobStatus
    generation: int
    created_at: datetime
    created_by: str
    deleted_at: datetime | None = None

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All replicas that the record remembers."""
        return self.status.replicas

    @property
    def active_replicas(self) -> tuple[Replica, ...]:
        """Replicas that count towards the desired number."""
        return tuple(replica for replica in self.status.replicas if replica.active)

    @property
    def outdated_replicas(self) -> tuple[Replica, ...]:
        """Active replicas of an earlier generation, which are to be replaced."""
        return tuple(replica for replica in self.active_replicas if replica.generation < self.generation)

    @property
    def minimum_ready(self) -> int:
        """How many ready replicas it needs to count as Running: `min_replicas`, at least 1, never more than it wants."""
        return min(max(self.spec.scaling.min_replicas, 1), self.wanted_replicas)

    @property
    def ready_replicas(self) -> tuple[Replica, ...]:
        """Replicas that serve."""
        return tuple(replica for replica in self.status.replicas if replica.state is ReplicaState.READY)

    @property
    def deleted(self) -> bool:
        """Whether only the tombstone is left."""
        return self.status.phase is JobPhase.DELETED

    @property
    def settled(self) -> bool:
        """Whether nothing of what was asked for is still to be done: every replica that is wanted serves, and no other is left."""
        living = [replica for replica in self.status.replicas if not replica.ended]
        return (
            self.status.phase in SETTLED_PHASES
            and len(living) == len(self.ready_replicas) == self.wanted_replicas
            and not self.outdated_replicas
        )

    @property
    def wanted_replicas(self) -> int:
        """How many replicas should exist: none once it is to stop, to go, or has failed."""
        if self.status.desired_phase is not DesiredPhase.RUNNING or self.status.phase is JobPhase.FAILED:
            return 0
        return self.status.desired_replicas

    def replica(self, replica_id: str) -> Replica | None:
        """The replica with this id, if the record remembers it."""
        return next((replica for replica in self.status.replicas if replica.replica_id == replica_id), None)
