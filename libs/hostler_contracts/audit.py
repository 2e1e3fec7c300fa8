"""The audit: who did what with keys, projects, masters and profiles, and who was turned away.

The api appends an entry to the AUDIT stream before it does the thing, so nothing happens off the record; an entry whose deed
then failed is possible. No entry holds a secret.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from hostler_contracts.envelope import CloudEvent, Contract
from hostler_domain.errors import PermanentError

NO_PROJECT = "_none"
"""In the subject of an entry that belongs to no project; no project can have this name."""


class AuditEntry(Contract):
    """One deed.

    Attributes:
        action: What, such as `key.created`.
        actor_key_id: The API key that it was done with; None for a caller who is not known.
        target: What it was done to: an id or a name.
        at: When; for several at once, the first.
        count: How many times, for what comes in crowds, such as refused logins.
        details: More about it, in plain words.
    """

    action: str = Field(min_length=1)
    actor_key_id: str | None
    target: str
    at: datetime
    count: int = Field(default=1, ge=1)
    details: Mapping[str, str] = Field(default_factory=dict)


class AuditRecordedV1(CloudEvent):
    """`audit.recorded`, version 1."""

    type: Literal["dev.hostler.audit.recorded.v1"] = "dev.hostler.audit.recorded.v1"
    data: AuditEntry


class UndecodableAudit(PermanentError):
    """Bytes that are no entry of the audit."""


def encode_audit(event: AuditRecordedV1) -> bytes:
    """The structured JSON form."""
    return event.model_dump_json().encode()


def decode_audit(data: bytes) -> AuditRecordedV1:
    """The entry in `data`.

    Raises:
        UndecodableAudit: there is none in it.
    """
    try:
        return AuditRecordedV1.model_validate_json(data)
    except ValidationError as error:
        raise UndecodableAudit(f"no entry of the audit: {error.error_count()} fields are wrong") from None
