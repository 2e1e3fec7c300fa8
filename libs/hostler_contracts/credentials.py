"""Who is calling: from the headers of a request to the record of an API key, or to the reason why not.

Pure, and used by the api and by every router, so that a key means the same at both doors. The key itself is only ever hashed:
its shape and checksum are looked at first, so that garbage never reaches a look-up, and no refusal repeats what was sent.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from hostler_contracts.catalogue import ApiKey, Scope
from hostler_domain.api_keys import checksum_ok, hash_key

_KEY_LENGTH_MAX: Final = 256
LYCEUM_PREFIX: Final = "lk_"
"""Lyceum's own client sends only keys that begin like this, so one may be written before any of Hostler's."""


class Refusal(StrEnum):
    """Why a caller is turned away."""

    MISSING = "You didn't provide an API key; send it as 'Authorization: Bearer hsk_...'."
    MALFORMED = "This is not an API key of Hostler: it is mistyped or belongs to another service."
    UNKNOWN = "This API key is unknown."
    REVOKED = "This API key was revoked."
    EXPIRED = "This API key has expired."
    SCOPE = "This API key does not have the scope that this needs."


@dataclass(frozen=True, slots=True)
class Refused:
    """The caller is turned away.

    Attributes:
        refusal: Why.
        key: The record of the key that was presented, where it is known.
    """

    refusal: Refusal
    key: ApiKey | None = None

    @property
    def forbidden(self) -> bool:
        """Whether the caller is known but may not do this (403), rather than unknown (401)."""
        return self.refusal is Refusal.SCOPE


def presented_key(authorization: str | None, x_api_key: str | None) -> str | None:
    """The key in the two headers that may carry it; `Authorization: Bearer` goes first, another scheme there counts as none."""
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip().removeprefix(LYCEUM_PREFIX)
    return (x_api_key or "").strip().removeprefix(LYCEUM_PREFIX) or None


def authenticate(
    key: str | None, find: Callable[[str], ApiKey | None], scope: Scope, *, now: datetime
) -> ApiKey | Refused:
    """The record of the key that was presented.

    Args:
        key: What `presented_key` gave.
        find: Gives the stored record by the SHA-256 of the key, in hex.
        scope: What the caller is about to do.
        now: For the expiry.
    """
    if key is None:
        return Refused(Refusal.MISSING)
    if len(key) > _KEY_LENGTH_MAX or not checksum_ok(key):
        return Refused(Refusal.MALFORMED)
    hashed = hash_key(key)
    record = find(hashed)
    if record is None or not hmac.compare_digest(record.key_hash, hashed):
        return Refused(Refusal.UNKNOWN)
    if not record.valid_at(now):
        return Refused(Refusal.REVOKED if record.revoked_at else Refusal.EXPIRED, record)
    if not record.allows(scope):
        return Refused(Refusal.SCOPE, record)
    return record
