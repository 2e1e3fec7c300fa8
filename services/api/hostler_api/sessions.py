"""Short-lived tokens that stand for an API key, for clients that log in once and then send what they got.

A token names the key and its own end, and is signed with the installation's secret key and the hash of the key's secret. Nothing is
stored: every api knows every token, and a token dies with its secret, so revoking a key ends its tokens as well.
"""

import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from hostler_contracts.catalogue import ApiKey, Scope
from hostler_contracts.credentials import Refusal, Refused
from hostler_kit.secret_key import SecretKey

_PREFIX: Final = "hss_"
_PURPOSE: Final = "api-session"
_LENGTH_MAX: Final = 512


def is_session(presented: str) -> bool:
    """Whether what was presented has the form of a token of a session."""
    return presented.startswith(_PREFIX)


class Sessions:
    """Makes and checks tokens."""

    def __init__(self, secret_key: SecretKey) -> None:
        self._secret_key = secret_key

    def mint(self, key: ApiKey, *, now: datetime, ttl_seconds: int) -> tuple[str, datetime]:
        """A token for a key, and when it ends: after `ttl_seconds`, or with the key."""
        ends = (now + timedelta(seconds=ttl_seconds)).replace(microsecond=0)
        if key.expires_at is not None:
            ends = min(ends, key.expires_at.replace(microsecond=0))
        claim = f"{key.key_id}.{int(ends.timestamp())}"
        return f"{_PREFIX}{claim}.{self._signature(claim, key)}", ends

    def verify(self, token: str, keys: Iterable[ApiKey], scope: Scope, *, now: datetime) -> ApiKey | Refused:
        """The key that a token stands for, or why it is not accepted.

        Args:
            token: As it was presented.
            keys: Every stored key.
            scope: What the caller is about to do.
            now: For the expiry.
        """
        claim, _, signature = token.removeprefix(_PREFIX).rpartition(".")
        key_id, _, ends = claim.rpartition(".")
        if (
            len(token) > _LENGTH_MAX
            or not key_id
            or not (ends.isascii() and ends.isdecimal())
            or len(ends) > 11
        ):
            return Refused(Refusal.MALFORMED)
        for key in keys:
            if key.key_id != key_id:
                continue
            if not hmac.compare_digest(self._signature(claim, key).encode(), signature.encode()):
                continue
            if not key.valid_at(now):
                return Refused(Refusal.REVOKED if key.revoked_at else Refusal.EXPIRED, key)
            if now >= datetime.fromtimestamp(int(ends), UTC):
                return Refused(Refusal.EXPIRED, key)
            return key if key.allows(scope) else Refused(Refusal.SCOPE, key)
        return Refused(Refusal.UNKNOWN)

    def _signature(self, claim: str, key: ApiKey) -> str:
        return self._secret_key.sign(_PURPOSE, f"{claim}.{key.key_hash}")
