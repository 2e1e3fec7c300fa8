"""Short-lived bearer tokens that stand for an API key, for clients that log in before they work.

A token is a JSON Web Token signed with the installation's secret key (HMAC-SHA-256), because such clients read its end (`exp`)
out of it. It is bound to the id and the hash of the key, and the key's record is looked up at each request: nothing is stored, and
what ends the key ends its tokens. The one form is fixed, so nothing in a token decides how it is checked.
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
    """Makes and checks tokens."""

    def __init__(self, secret_key: SecretKey) -> None:
        self._secret_key = secret_key

    def mint(self, key: ApiKey, *, now: datetime, ttl_seconds: int) -> tuple[str, datetime]:
        """A token for a key, and when it ends: after `ttl_seconds`, or with the key."""
        ends = (now + timedelta(seconds=ttl_seconds)).replace(microsecond=0)
        if key.expires_at is not None:
            ends = min(ends, key.expires_at.replace(microsecond=0))
        # Nothing in it but ASCII without >, ? and ~: runapy reads it by the other alphabet of base64, which then is the same.
        claims = {"sub": key.key_id, "key": key.key_hash, "exp": int(ends.timestamp())}
        claim = f"{_HEADER}.{_encoded(json.dumps(claims, separators=(',', ':')).encode())}"
        return f"{claim}.{self._secret_key.sign(_PURPOSE, claim)}", ends

    def verify(self, token: str, keys: Iterable[ApiKey], scope: Scope, *, now: datetime) -> ApiKey | Refused:
        """The key that a token stands for, or why it is not accepted.

        Args:
            token: As it was presented.
            keys: Every stored key.
            scope: What the caller is about to do.
            now: For the expiry.
        """
        claim, _, signature = token.rpartition(".")
        header, _, payload = claim.partition(".")
        if len(token) > _LENGTH_MAX or not token.isascii() or header != _HEADER:
            return Refused(Refusal.MALFORMED)
        if not hmac.compare_digest(self._secret_key.sign(_PURPOSE, claim), signature):
            return Refused(Refusal.UNKNOWN)
        # Only what this installation wrote gets here.
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        if now.timestamp() >= claims["exp"]:
            return Refused(Refusal.EXPIRED)
        found = (each for each in keys if each.key_hash == claims["key"] and each.key_id == claims["sub"])
        key = next(found, None)
        if key is None:
            return Refused(Refusal.UNKNOWN)
        if not key.valid_at(now):
            return Refused(Refusal.REVOKED if key.revoked_at else Refusal.EXPIRED)
        return key if key.allows(scope) else Refused(Refusal.SCOPE)
