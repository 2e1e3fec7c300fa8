"""A job as the router knows it: who may call it, which replicas serve it, how they are to be called, and when it will serve.

Made once for every event of a job by the table, read by every request.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from hostler_domain.job import EndpointAuth, Job
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.replica_states import START_STATES
from hostler_domain.routing import EXTRA_ROUTES, Routing, allowed_extra_routes

_EXTRA_ROUTES = frozenset(EXTRA_ROUTES)
_EVERY_JOBS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
"""No job has to allow these; most requests are for one of them."""
PATIENCE_SECONDS = {
    JobPhase.CREATING: 10,
    JobPhase.PENDING: 30,
    JobPhase.INITIALIZING: 10,
    JobPhase.RUNNING: 5,
    JobPhase.DEGRADED: 5,
    JobPhase.UPDATING: 5,
    JobPhase.RESUMING: 10,
    JobPhase.TERMINATING: 30,
    JobPhase.UNKNOWN: 30,
}
"""Seconds after which to ask again, for phases that pass without anybody's doing, where nothing better is known."""
_WAKING = frozenset(
    {
        JobPhase.CREATING,
        JobPhase.PENDING,
        JobPhase.INITIALIZING,
        JobPhase.RUNNING,
        JobPhase.DEGRADED,
        JobPhase.UPDATING,
        JobPhase.RESUMING,
    }
)
"""Phases of a job that gets its replicas by itself. One whose cluster is lost, or that was preempted, gets them some day as well,
but nobody can say that a request should wait for it."""
_NOT_BY_ITSELF = frozenset(
    {
        PhaseReason.PREEMPTED,
        PhaseReason.NO_MATCHING_HARDWARE,
        PhaseReason.OVER_LIMIT,
        PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA,
    }
)
"""Why a job waits that somebody has to do something for, or that others go before; a request that waited with it would only be
told later."""

_ONE_NAME = frozenset({"nim"})
"""Runtimes that we start but did not write: their servers know the model by its own name alone, and ask for no key."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A replica that serves, and where.

    Attributes:
        replica_id: Its id.
        url: Base address of its server.
        upstream: What is special about a server that is not to be spoken to like our own; None for the others.
    """

    replica_id: str
    url: str
    upstream: "Upstream | None" = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """How to speak to the servers of a job that adopts some, or whose runtime knows one name only.

    Attributes:
        model: What they call the model.
        key_secret: Name of the sealed key that they ask for; None where they ask for none.
    """

    model: str
    key_secret: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One job as the router knows it.

    Attributes:
        job_id: Its id.
        project: Whose it is.
        name: Unique in the project.
        model: Hugging Face id.
        public: Needs no key.
        created_at: When it was made.
        phase: Where it is.
        reason: Why, in a few words; may be empty.
        request_timeout_seconds: For a whole request.
        endpoints: Its ready replicas.
        hardware_profile: Kind of machine that each replica runs on.
        replicas_min: Kept warm.
        replicas_max: Never exceeded.
        replicas: Those that start or serve.
        runtime: Kind of inference server.
        routing: How its owner wants requests to reach the replicas.
        extra_routes: Of the routes that a job must allow, those that this one does.
        desired_running: Whether it is meant to run, whatever it does at present.
        waking: Whether it serves nothing and will without anybody's doing, or by the next request.
        scaled_to_zero: Whether that takes a request, because no replica is wanted as long as none comes.
        eta_seconds: How long that takes, as of the job's latest event; None for a job that is not waking.
        ready_expected_at: The moment, where a start is under way and earlier ones tell how long it takes.
    """

    job_id: str
    project: str
    name: str
    model: str
    public: bool
    created_at: datetime
    phase: JobPhase
    reason: str
    request_timeout_seconds: float
    endpoints: tuple[Endpoint, ...]
    hardware_profile: str
    replicas_min: int
    replicas_max: int
    replicas: int
    runtime: str
    routing: Routing
    extra_routes: frozenset[str]
    desired_running: bool
    waking: bool
    scaled_to_zero: bool
    eta_seconds: int | None
    ready_expected_at: datetime | None

    def allows(self, route: str) -> bool:
        """Whether the job answers at this route, given as its path or without `/v1/`: `/v1/rerank`, `rerank`."""
        if route in _EVERY_JOBS:
            return True
        # Whatever lies beneath a route is allowed with it.
        name = route.removeprefix("/v1").lstrip("/").partition("/")[0]
        return name not in _EXTRA_ROUTES or name in self.extra_routes

    def eta_at(self, now: datetime) -> int | None:
        """`eta_seconds` as of `now`; at least 1, since a start that is late may end at any moment."""
        if self.ready_expected_at is None:
            return self.eta_seconds
        return max(round((self.ready_expected_at - now).total_seconds()), 1)


def entry_of(job: Job) -> Entry:
    """The entry of a living job."""
    spec, status = job.spec, job.status
    servers = spec.external
    upstream = None
    if servers is not None:
        upstream = Upstream(servers.served_model or spec.model, servers.api_key_secret)
    elif spec.runtime in _ONE_NAME:
        upstream = Upstream(spec.model, None)
    endpoints = tuple(
        Endpoint(replica.replica_id, replica.endpoint_url, upstream)
        for replica in job.ready_replicas
        if replica.endpoint_url
    )
    waits_in_vain = status.phase is JobPhase.PENDING and status.phase_reason in _NOT_BY_ITSELF
    waking = not endpoints and status.phase in _WAKING and not waits_in_vain
    eta_seconds, ready_expected_at = _expected(job) if waking else (None, None)
    return Entry(
        job_id=job.job_id,
        project=spec.project,
        name=spec.name,
        model=spec.model,
        public=spec.endpoint_auth is EndpointAuth.PUBLIC,
        created_at=job.created_at,
        phase=status.phase,
        reason=str(status.phase_reason or ""),
        request_timeout_seconds=spec.timeouts.request_seconds,
        endpoints=endpoints,
        hardware_profile=spec.hardware_profile,
        replicas_min=spec.scaling.min_replicas,
        replicas_max=spec.scaling.max_replicas,
        replicas=len(job.active_replicas),
        runtime=spec.runtime,
        routing=spec.routing,
        extra_routes=allowed_extra_routes(spec.routing, spec.runtime),
        desired_running=status.desired_phase is DesiredPhase.RUNNING,
        waking=waking,
        scaled_to_zero=waking and status.desired_replicas == 0,
        eta_seconds=eta_seconds,
        ready_expected_at=ready_expected_at,
    )


def _expected(job: Job) -> tuple[int, datetime | None]:
    """How long until a replica of a waking job is ready, and the moment where there is one.

    | starts before | under way                  | how long                                         | moment            |
    | ------------- | -------------------------- | ------------------------------------------------ | ----------------- |
    | none          | any                        | the patience of the phase                        |                   |
    | some          | none                       | what a start takes                               |                   |
    | some          | some                       | what is left of the oldest, as of its last step  | its begin + start |

    What a start takes is the median of those that the record remembers, from the placement to the first health check that passed.
    """
    took = [
        (replica.ready_at - replica.created_at).total_seconds()
        for replica in job.replicas
        if replica.ready_at is not None
    ]
    if not took:
        return PATIENCE_SECONDS[job.status.phase], None
    typical_seconds = median(took)
    starting = [replica for replica in job.replicas if replica.state in START_STATES]
    if not starting:
        return max(round(typical_seconds), 1), None
    oldest = min(starting, key=lambda each: (each.created_at, each.replica_id))
    expected_at = oldest.created_at + timedelta(seconds=typical_seconds)
    return max(round((expected_at - oldest.since).total_seconds()), 1), expected_at
