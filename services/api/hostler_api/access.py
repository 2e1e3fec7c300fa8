"""Who may do what: a dependency on every route, so that a route without one can't be forgotten in a list of paths.

Another project's job reads as one that does not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from hostler_api.problem_catalogue import Forbidden, Unauthorized
from hostler_api.sessions import Sessions, is_session
from hostler_contracts.catalogue import ApiKey, Scope
from hostler_contracts.credentials import Refused, authenticate, presented_key
from hostler_domain.errors import NotFound
from hostler_kit.clock import Clock


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with.

    Attributes:
        key: Its record.
        request_id: Of this request; it becomes the correlation id of the events that follow.
    """

    key: ApiKey
    request_id: str

    @property
    def admin(self) -> bool:
        """Whether it may act for every project."""
        return "admin" in self.key.scopes

    def sees(self, project: str) -> bool:
        """Whether things of `project` exist for it."""
        return self.admin or project == self.key.project

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
        self, records: Mapping[str, ApiKey], clock: Clock, *, sessions: Sessions | None = None
    ) -> None:
        """Make the gate.

        Args:
            records: Stored keys by their hash.
            clock: For expiry.
            sessions: Knows the short-lived tokens that stand for a key; None where there are none.
        """
        self._records = records
        self._clock = clock
        self._sessions = sessions

    def admit(
        self, request: Request, scope: Scope, authorization: str | None, x_api_key: str | None
    ) -> Caller:
        """The caller of `request`.

        Raises:
            Unauthorized: there is no valid key.
            Forbidden: the key lacks `scope`.
        """
        presented = presented_key(authorization, x_api_key)
        now = self._clock.now()
        if self._sessions is not None and presented is not None and is_session(presented):
            found = self._sessions.verify(presented, self._records.values(), scope, now=now)
        else:
            found = authenticate(presented, self._records.get, scope, now=now)
        if isinstance(found, Refused):
            raise Forbidden(found.refusal) if found.forbidden else Unauthorized(found.refusal)
        return Caller(found, request.state.request_id)

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


def _needs(scope: Scope) -> Callable[[Request, str | None, str | None], Caller]:
    def admit(
        request: Request,
        authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
        x_api_key: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Caller:
        gate: Gate = request.app.state.gate
        return gate.admit(request, scope, authorization, x_api_key)

    return admit


Reader = Annotated[Caller, Depends(_needs("jobs:read"))]
Writer = Annotated[Caller, Depends(_needs("jobs:write"))]
