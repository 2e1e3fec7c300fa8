"""Who may do what: a dependency on every route, so that a route without one can't be forgotten in a list of paths.

`create_app` refuses to start with a route that has none (`route_access`). Another project's things read as ones that do not
exist, and so do jobs that a key's own list leaves out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from hostler_api.problem_catalogue import Forbidden, Unauthorized
from hostler_api.sessions import Sessions, is_session
from hostler_contracts.catalogue import ApiKey, Scope
from hostler_contracts.credentials import Refused, authenticate, presented_key
from hostler_contracts.envelope import TraceContext
from hostler_domain.errors import NotFound, TemporaryError
from hostler_domain.job import Job
from hostler_kit.clock import Clock
from hostler_kit.trace_context import read_trace

OnAdmitted = Callable[[ApiKey], None]
OnRefused = Callable[[Refused, str], None]


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with.

    Attributes:
        key: Its record.
        request_id: Of this request; it becomes the correlation id of the events that follow.
        trace: The trace that it is a part of, which these events are a part of as well.
    """

    key: ApiKey
    request_id: str
    trace: TraceContext | None = None

    @property
    def admin(self) -> bool:
        """Whether it may act for every project."""
        return "admin" in self.key.scopes

    def sees(self, project: str) -> bool:
        """Whether things of `project` exist for it."""
        return self.admin or project == self.key.project

    def sees_job(self, job: Job) -> bool:
        """Whether this job exists for it."""
        return self.sees(job.spec.project) and self.key.allows_job(job.job_id, job.spec.name)

    def project(self, wanted: str | None) -> str:
        """The project that a request is for.

        Raises:
            Forbidden: it is another one than the key's.
        """
        if wanted is None or wanted == self.key.project:
            return self.key.project
        if not self.admin:
            raise Forbidden(f"the API key belongs to the project {self.key.project!r}")
        return wanted


class Gate:
    """Checks callers against the known keys."""

    def __init__(
        self,
        records: Mapping[str, ApiKey],
        clock: Clock,
        *,
        caught_up: Callable[[], bool],
        sessions: Sessions | None = None,
        on_admitted: OnAdmitted | None = None,
        on_refused: OnRefused | None = None,
    ) -> None:
        """Make the gate.

        Args:
            records: Stored keys by their hash.
            clock: For expiry.
            caught_up: Whether keys, jobs and catalogues are known in full; before, nothing can be said to be unknown.
            sessions: Knows the short-lived tokens that stand for a key; None where there are none.
            on_admitted: Told of every caller who got in.
            on_refused: Told of every one who presented something and did not, and from which address.
        """
        self._records = records
        self._clock = clock
        self._caught_up = caught_up
        self._sessions = sessions
        self._on_admitted = on_admitted
        self._on_refused = on_refused

    def admit(
        self, request: Request, scope: Scope, authorization: str | None, x_api_key: str | None
    ) -> Caller:
        """The caller of `request`.

        Raises:
            Unauthorized: there is no valid key.
            Forbidden: the key lacks `scope`.
            TemporaryError: the api has just started and still reads what is stored.
        """
        if not self._caught_up():
            raise TemporaryError("this api has just started and still reads what is stored; try again")
        presented = presented_key(authorization, x_api_key)
        now = self._clock.now()
        if self._sessions is not None and presented is not None and is_session(presented):
            found = self._sessions.verify(presented, self._records.values(), scope, now=now)
        else:
            found = authenticate(presented, self._records.get, scope, now=now)
        if isinstance(found, Refused):
            if self._on_refused is not None and presented is not None:
                self._on_refused(found, request.client.host if request.client else "")
            raise Forbidden(found.refusal) if found.forbidden else Unauthorized(found.refusal)
        if self._on_admitted is not None:
            self._on_admitted(found)
        return Caller(found, request.state.request_id, _trace_of(request))

    def holds(self, caller: Caller) -> bool:
        """Whether the key that a caller came with still works; for answers that go on for hours."""
        record = self._records.get(caller.key.key_hash)
        return record is not None and record.valid_at(self._clock.now())

    def log_in(self, key_id: str, key: str, ttl_seconds: int) -> str:
        """A session's token for the holder of an API key.

        Raises:
            NotFound: there are no sessions here.
            Unauthorized: the key is not valid, or has another id.
            Forbidden: it may do nothing here.
        """
        if self._sessions is None:
            raise NotFound("there are no sessions here; use the API key itself")
        now = self._clock.now()
        found = authenticate(key, self._records.get, "jobs:read", now=now)
        if isinstance(found, Refused) and found.forbidden:
            found = authenticate(key, self._records.get, "jobs:write", now=now)
        if isinstance(found, Refused):
            raise Forbidden(found.refusal) if found.forbidden else Unauthorized(found.refusal)
        if found.key_id != key_id:
            raise Unauthorized("the API key has another id")
        return self._sessions.mint(found, now=now, ttl_seconds=ttl_seconds)[0]


class Needs:
    """The dependency of a route for callers with a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(
        self,
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        x_api_key: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Caller:
        """The caller."""
        if self.scope == "admin" and not request.app.state.serves_admin:
            raise NotFound(f"{request.method} {request.url.path} is not a route of this listener")
        gate: Gate = request.app.state.gate
        return gate.admit(request, self.scope, authorization, x_api_key)


class OpenToAll:
    """The dependency of a route that asks for no key, with the reason why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __call__(self) -> None:
        """Let everyone in."""


Reader = Annotated[Caller, Depends(Needs("jobs:read"))]
Writer = Annotated[Caller, Depends(Needs("jobs:write"))]
KeyReader = Annotated[Caller, Depends(Needs("keys:read"))]
KeyWriter = Annotated[Caller, Depends(Needs("keys:write"))]
AdminCaller = Annotated[Caller, Depends(Needs("admin"))]


def _trace_of(request: Request) -> TraceContext | None:
    """The trace that a request is a part of, if its caller says so."""
    found = read_trace(dict(request.headers.raw))
    return None if found is None else TraceContext(*found)
