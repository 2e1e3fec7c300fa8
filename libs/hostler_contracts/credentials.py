"""Who is calling: from the headers of a request to the record of an API key, or to the reason why not.

Pure, and used by the api and by every router, so that a key means the same at both doors. The key itself is only ever hashed:
its shape and checksum are looked at first, so that garbage never reaches a look-up, and no refusal repeats what was sent.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hostler_contracts.catalogue import ApiKey, Scope
from hostler_domain.api_keys import checksum_ok, hash_key


class Refusal(StrEnum):
    """Why a caller is turned away."""

    MISSING = "no API key was sent: use the header 'Authorization: Bearer <key>'"
    MALFORMED = "the API key is not one of Hostler's: it should begin with 'hsk_' and end with its checksum"
    UNKNOWN = "the API key is not known"
    ENDED = "the API key has expired or was revoked"
    SCOPE = "the API key does not have the scope that this needs"


@dataclass(frozen=True, slots=True)
class Refused:
    """The caller is turned away."""

    refusal: Refusal

    @property
    def forbidden(self) -> bool:
        """Whether the caller is known but may not do this (403), rather than unknown (401)."""
        return self.refusal is Refusal.SCOPE


def presented_key(authorization: str | None, x_api_key: str | None) -> str | None:
    """The key in the two headers that may carry it; `Authorization` goes first."""
    if authorization:
        scheme, _, value = authorization.partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""
    return x_api_key.strip() if x_api_key else None


def authenticate(
    key: str | None, records: Mapping[str, ApiKey], scope: Scope, *, now: datetime
) -> ApiKey | Refused:
    """The record of the key that was presented.

    Args:
        key: What `presented_key` gave.
        records: Known keys by the SHA-256 of the key, in hex.
        scope: What the caller is about to do.
        now: For the expiry.
    """
    if not key:
        return Refused(Refusal.MISSING if key is None else Refusal.MALFORMED)
    if not checksum_ok(key):
        return Refused(Refusal.MALFORMED)
    hashed = hash_key(key)
    record = records.get(hashed)
    if record is None or not hmac.compare_digest(record.key_hash, hashed):
        return Refused(Refusal.UNKNOWN)
    if not record.valid_at(now):
        return Refused(Refusal.ENDED)
    if not record.allows(scope):
        return Refused(Refusal.SCOPE)
    return record
