"""The route table: what a caller's `model` means, and which replicas serve it.

Built from jobs as they change; the service feeds it from the JOBS projection, the handlers ask it. In memory and without
waiting, because every request passes here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hostler_domain.job import Job
from hostler_domain.kinds import JobKind
from hostler_domain.phases import JobPhase
from hostler_router.auth import Viewer
from hostler_router.entries import PATIENCE_SECONDS, Endpoint, Entry, Upstream, entry_of

__all__ = (
    "Ambiguous",
    "Endpoint",
    "Entry",
    "NotServing",
    "Route",
    "RouteTable",
    "Target",
    "Unknown",
    "Upstream",
    "Waking",
)


@dataclass(frozen=True, slots=True)
class Route:
    """The job that is meant; it has a ready replica."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Waking:
    """The job that is meant has no ready replica and will have one by itself, or because it is asked for: a request may wait.

    Attributes:
        entry: The job.
        retry_after_seconds: When it may have one, as of its latest event; `entry.eta_at` knows better.
        worth_waiting: Always, so that whoever does not let requests wait can treat it as the other kind.
    """

    entry: Entry
    retry_after_seconds: int
    worth_waiting: bool = True


@dataclass(frozen=True, slots=True)
class NotServing:
    """The job that is meant has no ready replica, and a request should not wait for one.

    Attributes:
        entry: The job.
        retry_after_seconds: When it may have one.
        worth_waiting: It will have one some day without anybody's doing, so a client may come again.
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


Target = Route | Waking | NotServing
"""What a job that was found comes to."""

_GONE = frozenset({JobPhase.DELETING, JobPhase.DELETED})
_NOT_BY_ITSELF_SECONDS = 60
_ANSWERS_MAX = 4096
"""However many words a caller tries, no more of them are remembered."""


class RouteTable:
    """Every living job by everything it can be called."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        # Made with the entry, so that a request makes nothing.
        self._targets: dict[str, Target] = {}
        # Callers ask the same all the time; forgotten with every change of any job.
        self._answers: dict[tuple[str, Viewer], Target | Ambiguous | Unknown] = {}
        self._ids_by_word: dict[str, set[str]] = {}
        self._public_ids: set[str] = set()
        for job in jobs:
            self.apply(job)

    def apply(self, job: Job) -> Entry | None:
        """Take a job's present state in; gives its entry, None once it is gone."""
        self._forget(job.job_id)
        self._answers.clear()
        if job.status.phase in _GONE or job.spec.kind is not JobKind.INFERENCE:
            return None  # a workspace or training has nothing that answers requests
        entry = entry_of(job)
        self._entries[entry.job_id] = entry
        self._targets[entry.job_id] = _target(entry)
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

    def resolve(self, model: str, viewer: Viewer) -> Target | Ambiguous | Unknown:
        """Where a request for `model` goes."""
        asked = (model, viewer)
        answer = self._answers.get(asked)
        if answer is None:
            found = self.find(model, viewer)
            answer = self._targets[found.job_id] if isinstance(found, Entry) else found
            if len(self._answers) >= _ANSWERS_MAX:
                self._answers.clear()
            self._answers[asked] = answer
        return answer

    def target(self, job_id: str) -> Target | None:
        """What has become of a job that was found before, for a request that waited; None once it is gone."""
        return self._targets.get(job_id)

    def _forget(self, job_id: str) -> None:
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        del self._targets[job_id]
        self._public_ids.discard(job_id)
        for word in _words(entry):
            ids = self._ids_by_word[word]
            ids.discard(job_id)
            if not ids:
                del self._ids_by_word[word]


def _words(entry: Entry) -> set[str]:
    return {f"{entry.project}/{entry.name}", entry.name, entry.model}


def _owns(viewer: Viewer, entry: Entry) -> bool:
    return viewer.owns(entry.project, entry.job_id, entry.name)


def _target(entry: Entry) -> Target:
    # One that was stopped gets nothing new, though its replicas may serve until they are told.
    if entry.endpoints and entry.desired_running:
        return Route(entry)
    if entry.waking:
        return Waking(entry, entry.eta_seconds or _NOT_BY_ITSELF_SECONDS)
    patience = PATIENCE_SECONDS.get(entry.phase)
    return NotServing(entry, patience or _NOT_BY_ITSELF_SECONDS, worth_waiting=patience is not None)
