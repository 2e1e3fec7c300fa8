"""Short-lived bearer tokens that stand for an API key, for clients that log in before they work.

A token is a JSON Web Token signed with the installation's secret key (HMAC-SHA-256), because such clients read its end (`exp`)
out of it. The signature also covers the hash of the key, which is not in the token: nothing is stored, and what ends the key, or
gives it another secret, ends its tokens. The one form is fixed, so nothing in a token decides how it is checked.
"""

import base64
import hmac
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from hostler_contracts.catalogue import ApiKey, Scope
from hostler_contracts.credentials import Refusal, Refused
from hostler_kit.secret_key import SecretKey

_PURPOSE: Final = "api-session"
_LENGTH_MAX: Final = 1024


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_HEADER: Final = _encoded(b'{"alg":"HS256","typ":"JWT"}')


def is_session(presented: str) -> bool:
    """Whether what was presented has the form of a token of a session; a key has no dots."""
    return presented.count(".") == 2


class Sessions:
    """Makes tokens and checks them."""

    def __init__(self, secret_key: SecretKey) -> None:
        self._secret_key = secret_key

    def mint(self, key: ApiKey, *, now: datetime, ttl_seconds: int) -> tuple[str, datetime]:
        """A token that stands for `key`, and when it ends, which is never after the key does."""
        ends = (now + timedelta(seconds=ttl_seconds)).replace(microsecond=0)
        if key.expires_at is not None:
            ends = min(ends, key.expires_at.replace(microsecond=0))
        # Nothing in it but ASCII without >, ? and ~: runapy reads it by the other alphabet of base64, which then is the same.
        claims = {"sub": key.key_id, "exp": int(ends.timestamp())}
        claim = f"{_HEADER}.{_encoded(json.dumps(claims, separators=(',', ':')).encode())}"
        return f"{claim}.{self._signature(claim, key)}", ends

    def verify(self, token: str, keys: Iterable[ApiKey], scope: Scope, *, now: datetime) -> ApiKey | Refused:
        """The key that a token stands for, or why it is not accepted.

        Args:
            token: As it was presented.
            keys: All that are stored; several may have one id while a key is rotated.
            scope: What the caller is about to do.
            now: For the expiry.
        """
        claim, _, signature = token.rpartition(".")
        header, _, payload = claim.partition(".")
        if len(token) > _LENGTH_MAX or not token.isascii() or header != _HEADER:
            return Refused(Refusal.MALFORMED)
        claims = _claims(payload)
        for key in keys:
            # What the token says of itself only tells which key to try; the signature tells whether it is true.
            if key.key_id != claims.get("sub"):
                continue
            if not hmac.compare_digest(self._signature(claim, key), signature):
                continue
            if not key.valid_at(now):
                return Refused(Refusal.REVOKED if key.revoked_at else Refusal.EXPIRED, key)
            ends = claims.get("exp")
            if not isinstance(ends, int) or now.timestamp() >= ends:
                return Refused(Refusal.EXPIRED, key)
            return key if key.allows(scope) else Refused(Refusal.SCOPE, key)
        return Refused(Refusal.UNKNOWN)

    def _signature(self, claim: str, key: ApiKey) -> str:
        return self._secret_key.sign(_PURPOSE, f"{claim}.{key.key_id}.{key.key_hash}")


def _claims(payload: str) -> dict[str, object]:
    """What a token says of itself; nothing where it can't be read."""
    try:
        found = json.loads(base64.urlsafe_b64decode(payload + "=="))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
