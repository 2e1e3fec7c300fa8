"""Catalogue entries as they lie in their KV buckets: masters, profiles, projects, nodes, keys.

The records are the domain's; here is only how they become JSON and come back.
"""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from hostler_contracts.envelope import Contract
from hostler_domain.capacity import Node
from hostler_domain.catalogue import HardwareProfile, ModelMaster, Project
from hostler_domain.errors import PermanentError

Scope = Literal["admin", "jobs:read", "jobs:write", "inference"]


class ApiKey(Contract):
    """What is stored of an API key: enough to recognise it, nothing to use it with.

    Attributes:
        key_id: UUIDv7.
        name: Given by its maker.
        project: Whose it is; a key with the scope `admin` may act for every project.
        key_hash: SHA-256 of the whole key, in hex; also the entry's name in the bucket.
        prefix: The first characters, for people to recognise it by.
        scopes: What it may do.
        created_at: When it was made.
        expires_at: When it stops working; None for never.
        revoked_at: When it was revoked.
    """

    key_id: str
    name: str
    project: str
    key_hash: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def valid_at(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows(self, scope: Scope) -> bool:
        """Whether it may do what `scope` names."""
        return scope in self.scopes or "admin" in self.scopes


RecordT = TypeVar("RecordT")


class BadRecord(PermanentError):
    """A catalogue entry that can't be read."""


class Codec(Generic[RecordT]):
    """One kind of record to bytes and back."""

    def __init__(self, name: str, adapter: TypeAdapter[RecordT]) -> None:
        self.name = name
        self._adapter = adapter

    def encode(self, record: RecordT) -> bytes:
        """The record as JSON."""
        return self._adapter.dump_json(record)

    def decode(self, data: bytes) -> RecordT:
        """The record in `data`.

        Raises:
            BadRecord: there is none in it.
        """
        try:
            return self._adapter.validate_json(data)
        except ValidationError as error:
            raise BadRecord(f"not a {self.name}: {error.error_count()} fields are wrong") from None


API_KEYS = Codec("api key", TypeAdapter(ApiKey))
MODEL_MASTERS = Codec("model master", TypeAdapter(ModelMaster))
HARDWARE_PROFILES = Codec("hardware profile", TypeAdapter(HardwareProfile))
NODES = Codec("node", TypeAdapter(Node))
PROJECTS = Codec("project", TypeAdapter(Project))
