"""Which web pages may call the router from a browser, as the setting says. Pure."""

from collections.abc import Sequence
from typing import Final

from hostler_router.wire.heads import Head, Header

_ALLOWED_HEADERS: Final = (
    b"authorization, content-type, x-api-key, x-request-id, x-deployment-id, x-timeout-s, x-session-id, x-priority, x-resume,"
    b" openai-organization, openai-project, openai-beta"
)
_EXPOSED: Final = (
    b"x-request-id, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests,"
    b" x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)
_MAX_AGE_SECONDS: Final = b"600"


class Cors:
    """The answers to browsers.

    Attributes:
        some: Any page may call at all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        """Allow `origins`, such as `https://app.example`; `*` allows every page, which is safe since no cookie is ever read."""
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = b"*" in self._origins
        self.some: Final = bool(self._origins)

    def headers(self, head: Head) -> tuple[Header, ...]:
        """What every answer to this request carries."""
        if not self._origins:
            return ()
        origin = head.headers.get(b"origin")
        if origin is None:
            return ()
        if self._any:
            return ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED))
        if origin not in self._origins:
            return ((b"vary", b"origin"),)
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def is_preflight(self, head: Head) -> bool:
        """Whether a browser asks what it may do."""
        return (
            bool(self._origins)
            and head.method == "OPTIONS"
            and b"origin" in head.headers
            and b"access-control-request-method" in head.headers
        )

    def preflight(self, head: Head) -> tuple[Header, ...]:
        """What it may do; nothing for pages that are not listed."""
        if not self._any and head.headers.get(b"origin") not in self._origins:
            return ()
        return (
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", _MAX_AGE_SECONDS),
        )
