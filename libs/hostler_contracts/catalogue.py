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
from hostler_domain.limits import Limits

Scope = Literal["admin", "jobs:read", "jobs:write", "keys:read", "keys:write", "inference"]


class ApiKey(Contract):
    """What is stored of one secret of an API key: enough to recognise it, nothing to use it with.

    A key that was rotated has several of these, with one `key_id`; the latest, which nothing superseded, is the key as people
    see it.

    Attributes:
        key_id: UUIDv7; stays the same through rotations.
        name: Given by its maker.
        project: Whose it is; a key with the scope `admin` may act for every project.
        key_hash: SHA-256 of the whole key, in hex; also the entry's name in the bucket.
        prefix: The first characters, for people to recognise it by.
        scopes: What it may do.
        created_at: When the key was made.
        expires_at: When it stops working; None for never.
        revoked_at: When it was revoked.
        allowed_jobs: Ids or names of the only jobs that it may touch; None for all of its project.
        created_by: Id of the key that it was made with; empty for the bootstrap key.
        issued_at: When this secret was made; None for the first one, which is as old as the key.
        superseded_at: When a newer secret took its place; it goes on working until `expires_at`.
        issued: How many secrets the key had before this one.
        limits: How much of inference it may use, whichever of its secrets is sent; None for no bound of its own.
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
    allowed_jobs: tuple[str, ...] | None = None
    created_by: str = ""
    issued_at: datetime | None = None
    superseded_at: datetime | None = None
    issued: int = 0
    limits: Limits | None = None

    def valid_at(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows(self, scope: Scope) -> bool:
        """Whether it may do what `scope` names."""
        return scope in self.scopes or "admin" in self.scopes

    def allows_job(self, job_id: str, name: str) -> bool:
        """Whether it may touch this job, as far as its list of jobs goes."""
        return self.allowed_jobs is None or job_id in self.allowed_jobs or name in self.allowed_jobs


class KeyUse(Contract):
    """When a key was last used, as coarsely as it is written.

    Attributes:
        key_id: Which key.
        used_at: Begin of the hour.
    """

    key_id: str
    used_at: datetime


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
KEY_USES = Codec("use of an api key", TypeAdapter(KeyUse))
MODEL_MASTERS = Codec("model master", TypeAdapter(ModelMaster))
HARDWARE_PROFILES = Codec("hardware profile", TypeAdapter(HardwareProfile))
NODES = Codec("node", TypeAdapter(Node))
PROJECTS = Codec("project", TypeAdapter(Project))
