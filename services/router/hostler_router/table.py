"""The route table: what a caller's `model` means, and which replicas serve it.

Built from jobs as they change; the service feeds it from the JOBS projection, the handlers ask it. In memory and without
waiting, because every request passes here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from hostler_domain.job import EndpointAuth, Job
from hostler_domain.phases import JobPhase
from hostler_router.auth import Viewer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A replica that serves, and where.

    Attributes:
        replica_id: Its id.
        url: Base address of its server.
        upstream: What is special about a server that Hostler does not run; None for the others.
    """

    replica_id: str
    url: str
    upstream: "Upstream | None" = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """How to speak to the servers of a job that adopts some.

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


@dataclass(frozen=True, slots=True)
class Route:
    """The job that is meant; it has a ready replica."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class NotServing:
    """The job that is meant has no ready replica.

    Attributes:
        entry: The job.
        retry_after_seconds: When it may have one.
        worth_waiting: It will have one without anybody's doing.
    """

    entry: Entry
    retry_after_seconds: int
    worth_waiting: bool


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several jobs are meant; their ids, sorted."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """No job is meant that this caller may see."""


_GONE = frozenset({JobPhase.DELETING, JobPhase.DELETED})
_PATIENCE_SECONDS = {
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
"""Seconds after which to ask again, for phases that pass without anybody's doing."""
_NOT_BY_ITSELF_SECONDS = 60


class RouteTable:
    """Every living job by everything it can be called."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        self._ids_by_word: dict[str, set[str]] = {}
        self._public_ids: set[str] = set()
        for job in jobs:
            self.apply(job)

    def apply(self, job: Job) -> Entry | None:
        """Take a job's present state in; gives its entry, None once it is gone."""
        self._forget(job.job_id)
        if job.status.phase in _GONE:
            return None
        entry = _entry(job)
        self._entries[entry.job_id] = entry
        for word in _words(entry):
            self._ids_by_word.setdefault(word, set()).add(entry.job_id)
        if entry.public:
            self._public_ids.add(entry.job_id)
        return entry

    @property
    def entries(self) -> Iterable[Entry]:
        """Every living job."""
        return self._entries.values()

    @property
    def has_public(self) -> bool:
        """Whether any job may be called without a key."""
        return bool(self._public_ids)

    def get(self, job_id: str) -> Entry | None:
        """The living job with this id."""
        return self._entries.get(job_id)

    def endpoints(self, job_id: str) -> tuple[Endpoint, ...]:
        """Ready replicas of a job, as of now."""
        entry = self._entries.get(job_id)
        return entry.endpoints if entry else ()

    def listed(self, viewer: Viewer) -> list[Entry]:
        """The jobs that belong to the caller, oldest first."""
        own = (entry for entry in self._entries.values() if _owns(viewer, entry))
        return sorted(own, key=lambda entry: entry.job_id)

    def find(self, model: str, viewer: Viewer) -> Entry | Ambiguous | Unknown:
        """The job that `model` means to this caller.

        It may be the job's id, `project/name`, its name, or its model, tried in this order; a word that means several jobs
        means the caller's own before other projects' public ones.
        """
        exact = self._entries.get(model)
        if exact is not None:
            return exact if exact.public or _owns(viewer, exact) else Unknown()
        called = [self._entries[job_id] for job_id in self._ids_by_word.get(model, ())]
        for meant in (
            [entry for entry in called if model == f"{entry.project}/{entry.name}"],
            [entry for entry in called if model == entry.name],
            [entry for entry in called if model == entry.model],
        ):
            own = [entry for entry in meant if _owns(viewer, entry)]
            seen = own or [entry for entry in meant if entry.public]
            if len(seen) == 1:
                return seen[0]
            if seen:
                return Ambiguous(tuple(sorted(entry.job_id for entry in seen)))
        return Unknown()

    def resolve(self, model: str, viewer: Viewer) -> Route | NotServing | Ambiguous | Unknown:
        """Where a request for `model` goes."""
        found = self.find(model, viewer)
        if not isinstance(found, Entry):
            return found
        return Route(found) if found.endpoints else _not_serving(found)

    def _forget(self, job_id: str) -> None:
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        self._public_ids.discard(job_id)
        for word in _words(entry):
            ids = self._ids_by_word[word]
            ids.discard(job_id)
            if not ids:
                del self._ids_by_word[word]


def _entry(job: Job) -> Entry:
    spec, status = job.spec, job.status
    servers = spec.external
    upstream = None
    if servers is not None:
        upstream = Upstream(servers.served_model or spec.model, servers.api_key_secret)
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
        endpoints=tuple(
            Endpoint(replica.replica_id, replica.endpoint_url, upstream)
            for replica in job.ready_replicas
            if replica.endpoint_url
        ),
        hardware_profile=spec.hardware_profile,
        replicas_min=spec.scaling.min_replicas,
        replicas_max=spec.scaling.max_replicas,
        replicas=len(job.active_replicas),
    )


def _words(entry: Entry) -> set[str]:
    return {f"{entry.project}/{entry.name}", entry.name, entry.model}


def _owns(viewer: Viewer, entry: Entry) -> bool:
    return viewer.owns(entry.project, entry.job_id, entry.name)


def _not_serving(entry: Entry) -> NotServing:
    patience = _PATIENCE_SECONDS.get(entry.phase)
    return NotServing(entry, patience or _NOT_BY_ITSELF_SECONDS, worth_waiting=patience is not None)
