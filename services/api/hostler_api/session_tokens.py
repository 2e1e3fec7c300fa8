"""Short-lived bearer tokens that stand for an API key, for clients that log in before they work.

A token is a JSON Web Token signed with the installation's secret key (HMAC-SHA-256), because such clients read its end (`exp`)
out of it. It is bound to the id and the hash of the key, and the key's record is looked up at each request: nothing is stored, and
what ends the key ends its tokens. The one form is fixed, so nothing in a token decides how it is checked.
"""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from hostler_contracts.catalogue import ApiKey, Scope
from hostler_contracts.credentials import Refusal, Refused
from hostler_kit.secret_key import SecretKey

LIFETIME_SECONDS: Final = 3600
_PURPOSE: Final = "session-token"
_LENGTH_MAX: Final = 1024
_HEADER: Final = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()


class SessionTokens:
    """Makes tokens and tells whose they are."""

    def __init__(self, secret_key: SecretKey) -> None:
        self._secret_key = secret_key

    def issue(self, key: ApiKey, *, now: datetime) -> str:
        """A token for the holder of `key`, valid for `LIFETIME_SECONDS` and never longer than the key."""
        end = int(now.timestamp()) + LIFETIME_SECONDS
        if key.expires_at is not None:
            end = min(end, int(key.expires_at.timestamp()))
        claims = {"sub": key.key_id, "key": key.key_hash, "iat": int(now.timestamp()), "exp": end}
        signed = f"{_HEADER}.{_encoded(json.dumps(claims, separators=(',', ':')).encode())}"
        return f"{signed}.{self._signature(signed)}"

    def authenticate(
        self, token: str, find: Callable[[str], ApiKey | None], scope: Scope, *, now: datetime
    ) -> ApiKey | Refused:
        """The record of the key that a token stands for.

        Args:
            token: What the caller presented.
            find: Gives the stored record by the SHA-256 of the key, in hex.
            scope: What the caller is about to do.
            now: For both ends.
        """
        signed, _, signature = token.rpartition(".")
        header, _, claims_part = signed.partition(".")
        if len(token) > _LENGTH_MAX or not token.isascii() or header != _HEADER:
            return Refused(Refusal.MALFORMED)
        if not hmac.compare_digest(signature, self._signature(signed)):
            return Refused(Refusal.UNKNOWN)
        # Only what this installation wrote gets here.
        claims = json.loads(base64.urlsafe_b64decode(claims_part + "=="))
        if now.timestamp() >= claims["exp"]:
            return Refused(Refusal.EXPIRED)
        record = find(claims["key"])
        if record is None or record.key_id != claims["sub"]:
            return Refused(Refusal.UNKNOWN)
        if not record.valid_at(now):
            return Refused(Refusal.REVOKED if record.revoked_at else Refusal.EXPIRED)
        return record if record.allows(scope) else Refused(Refusal.SCOPE)

    def _signature(self, signed: str) -> str:
        return _encoded(self._secret_key.signature(_PURPOSE, signed.encode()))


def looks_like_a_session(presented: str) -> bool:
    """Whether a credential is meant as one of these rather than as a key, which has no dots."""
    return presented.count(".") == 2


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
