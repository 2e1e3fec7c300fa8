"""Who is asking: an API key to a caller, or to the error that says why not.

Pure; called once per request. What makes a key good is the same at every door of Hostler (`hostler_contracts.credentials`);
here it gets OpenAI's words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final

from hostler_contracts import credentials
from hostler_contracts.catalogue import ApiKey
from hostler_contracts.credentials import Refused, presented_key
from hostler_domain.limits import Limits
from hostler_router.openai_errors import ErrorReply, bad_key, missing_scope

_SCOPE: Final = "inference"
_KNOWN_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose jobs may be seen.

    Attributes:
        project: The caller's; None for a caller without a key.
        admin: May see every project's.
        allowed_jobs: Ids or names of the only jobs of the project that may be seen; None for all.
    """

    project: str | None
    admin: bool = False
    allowed_jobs: frozenset[str] | None = None

    def owns(self, project: str, job_id: str, name: str) -> bool:
        """Whether a job belongs to what the caller's key is for."""
        if self.admin:
            return True
        listed = self.allowed_jobs is None or job_id in self.allowed_jobs or name in self.allowed_jobs
        return project == self.project and listed


ANYONE: Final = Viewer(project=None)
"""A caller without a key: sees public jobs only."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone with a good key.

    Attributes:
        key_id: Of the key.
        viewer: Whose jobs it shows.
        project: The key's own, whose limits hold.
        limits: The key's own.
        record: The key as it was stored when it was looked at.
    """

    key_id: str
    viewer: Viewer
    project: str
    limits: Limits | None
    record: ApiKey = field(repr=False, compare=False)


def authenticate(
    headers: Mapping[bytes, bytes], find: Callable[[str], ApiKey | None], *, now: datetime
) -> Caller | ErrorReply:
    """The caller, or why the key is not accepted.

    Args:
        headers: Of the request, names in lower case.
        find: Gives the stored record by the key's hash.
        now: For expiry.
    """
    key = presented_key(
        headers.get(b"authorization", b"").decode("latin-1"), headers.get(b"x-api-key", b"").decode("latin-1")
    )
    found = credentials.authenticate(key, find, _SCOPE, now=now)
    if isinstance(found, Refused):
        return missing_scope(_SCOPE) if found.forbidden else bad_key(found.refusal)
    viewer = _viewer(found, headers.get(b"x-org-slug", b"").decode("latin-1").strip())
    return Caller(found.key_id, viewer, found.project, found.limits, found)


class KnownCallers:
    """Callers by what they sent, so that most requests cost one hash instead of all that a key is looked at for.

    Kept under the SHA-256 of the headers that decide, never under the key or a part of it. An entry counts only as long as the
    stored record is the very one that it was made from, and has not expired, so a change or a revocation holds at once.
    """

    def __init__(self, find: Callable[[str], ApiKey | None]) -> None:
        self._find = find
        self._known: dict[bytes, Caller] = {}

    def authenticate(self, headers: Mapping[bytes, bytes], *, now: datetime) -> Caller | ErrorReply:
        """As the function of this name."""
        said = headers.get
        digest = sha256(
            b"%b\n%b\n%b" % (said(b"authorization", b""), said(b"x-api-key", b""), said(b"x-org-slug", b""))
        ).digest()
        known = self._known.get(digest)
        if known is not None:
            if self.holds(known, now=lambda: now):
                return known
            del self._known[digest]
        answer = authenticate(headers, self._find, now=now)
        if isinstance(answer, Caller):
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[digest] = answer
        return answer

    def holds(self, caller: Caller, *, now: Callable[[], datetime]) -> bool:
        """Whether the key of a caller from an earlier request is still as good as it was then; most never expire."""
        record = caller.record
        return self._find(record.key_hash) is record and (record.expires_at is None or record.valid_at(now()))


def _viewer(key: ApiKey, org: str) -> Viewer:
    """Whose jobs the key shows: of the project that `X-Org-Slug` names, none if the key may not act for it."""
    admin = "admin" in key.scopes
    allowed_jobs = None if key.allowed_jobs is None else frozenset(key.allowed_jobs)
    if not org:
        return Viewer(key.project, admin, allowed_jobs)
    return Viewer(org, allowed_jobs=allowed_jobs) if admin or org == key.project else ANYONE
