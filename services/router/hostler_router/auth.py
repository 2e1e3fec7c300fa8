"""Who is asking: an API key to a caller, or to the error that says why not.

Pure; called once per request. The checksum in a key turns mistyped and made-up keys away before anything is looked up, and
the look-up is by hash, so the key itself is compared with nothing.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hostler_contracts.catalogue import ApiKey
from hostler_domain.api_keys import checksum_ok, hash_key
from hostler_router.openai_errors import ErrorReply, bad_key, missing_scope

_SCOPE: Final = "inference"
_KEY_LENGTH_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose jobs may be seen.

    Attributes:
        project: The caller's; None for a caller without a key.
        admin: May see every project's.
    """

    project: str | None
    admin: bool = False


ANYONE: Final = Viewer(project=None)
"""A caller without a key: sees public jobs only."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone with a good key."""

    key_id: str
    viewer: Viewer


def authenticate(
    headers: Mapping[bytes, bytes], find: Callable[[str], ApiKey | None], *, now: datetime
) -> Caller | ErrorReply:
    """The caller, or why the key is not accepted.

    Args:
        headers: Of the request, names in lower case.
        find: Gives the stored record by the key's hash.
        now: For expiry.
    """
    key = presented_key(headers)
    if key is None:
        return bad_key("You didn't provide an API key; send it as 'Authorization: Bearer hsk_...'.")
    if len(key) > _KEY_LENGTH_MAX or not checksum_ok(key):
        return bad_key("This is not an API key of Hostler: it is mistyped or belongs to another service.")
    key_hash = hash_key(key)
    record = find(key_hash)
    if record is None or not hmac.compare_digest(record.key_hash, key_hash):
        return bad_key("This API key is unknown.")
    if not record.valid_at(now):
        return bad_key(f"This API key {'was revoked' if record.revoked_at else 'has expired'}.")
    if not record.allows(_SCOPE):
        return missing_scope(_SCOPE)
    return Caller(record.key_id, Viewer(record.project, admin="admin" in record.scopes))


def presented_key(headers: Mapping[bytes, bytes]) -> str | None:
    """The key in `Authorization: Bearer` or `X-API-Key`; the first wins where both are given."""
    scheme, _, credentials = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() == b"bearer" and credentials.strip():
        return credentials.strip().decode("latin-1")
    plain = headers.get(b"x-api-key", b"").strip()
    return plain.decode("latin-1") if plain else None
