"""What admins do with the records of a catalogue, apart from HTTP: one shell for masters and for profiles.

A change is on the audit first, and is made by compare-and-set on the record's revision, which is also its ETag.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hostler_api.access import Caller
from hostler_api.audit import AuditLog
from hostler_api.problem_catalogue import Overtaken
from hostler_bus.errors import RevisionConflict
from hostler_bus.port import Bus
from hostler_bus.projection import CatalogueProjection
from hostler_contracts.catalogue import Codec
from hostler_domain.errors import Conflict, NotFound

RecordT = TypeVar("RecordT")


@dataclass(frozen=True, slots=True)
class Stored(Generic[RecordT]):
    """A record and its revision."""

    record: RecordT
    revision: int


@dataclass(frozen=True, slots=True)
class Kind(Generic[RecordT]):
    """One catalogue.

    Attributes:
        word: What one of its records is called, and the first part of the audit's actions.
        bucket: Where they lie.
        codec: Their form there.
        key: The name of a record.
        in_use: Why a record can't go; None where it can.
    """

    word: str
    bucket: str
    codec: Codec[RecordT]
    key: Callable[[RecordT], str]
    in_use: Callable[[RecordT], str | None]


class RecordService(Generic[RecordT]):
    """Commands and queries on the records of one catalogue."""

    def __init__(
        self, bus: Bus, kind: Kind[RecordT], records: CatalogueProjection[RecordT], audit: AuditLog
    ) -> None:
        self._bucket = bus.bucket(kind.bucket)
        self._kind = kind
        self._records = records
        self._audit = audit

    async def get(self, key: str) -> Stored[RecordT]:
        """One record.

        Raises:
            NotFound: there is none of that name.
        """
        entry = await self._bucket.get(key)
        if entry is None:
            raise self._missing(key)
        return Stored(self._kind.codec.decode(entry.value), entry.revision)

    def list(self, *, after: str | None, limit: int) -> tuple[tuple[RecordT, ...], bool]:
        """One page of records by name, and whether there are more."""
        names = sorted(name for name in self._records.records if after is None or name > after)
        return tuple(self._records.records[name] for name in names[:limit]), len(names) > limit

    async def create(self, caller: Caller, record: RecordT) -> Stored[RecordT]:
        """Add a record.

        Raises:
            Conflict: there is one of that name.
        """
        key = self._kind.key(record)
        taken = Conflict(f"there is a {self._kind.word} {key!r} already; PUT replaces it")
        if await self._bucket.get(key) is not None:
            raise taken
        await self._record(caller, "created", key)
        try:
            revision = await self._bucket.create(key, self._kind.codec.encode(record))
        except RevisionConflict:
            raise taken from None
        self._records.apply(key, record, revision)
        return Stored(record, revision)

    async def put(
        self, caller: Caller, record: RecordT, if_match: int | None
    ) -> tuple[Stored[RecordT], bool]:
        """Add or replace a record; gives whether it is new.

        Raises:
            Overtaken: its revision is not `if_match`, or it changed in this moment.
        """
        key = self._kind.key(record)
        entry = await self._bucket.get(key)
        present = 0 if entry is None else entry.revision
        if if_match is not None and present != if_match:
            raise Overtaken(f"the {self._kind.word} is at revision {present}, not {if_match}; read it again")
        value = self._kind.codec.encode(record)
        if entry is not None and entry.value == value:
            return Stored(record, entry.revision), False
        await self._record(caller, "created" if entry is None else "replaced", key)
        try:
            if entry is None:
                revision = await self._bucket.create(key, value)
            else:
                revision = await self._bucket.update(key, value, revision=entry.revision)
        except RevisionConflict:
            raise Overtaken(f"the {self._kind.word} changed in this moment; read it again") from None
        self._records.apply(key, record, revision)
        return Stored(record, revision), entry is None

    async def delete(self, caller: Caller, key: str, if_match: int | None) -> None:
        """Take a record away.

        Raises:
            NotFound: there is none of that name.
            Conflict: something needs it.
            Overtaken: its revision is not `if_match`, or it changed in this moment.
        """
        stored = await self.get(key)
        if if_match is not None and stored.revision != if_match:
            raise Overtaken(
                f"the {self._kind.word} is at revision {stored.revision}, not {if_match}; read it again"
            )
        why = self._kind.in_use(stored.record)
        if why is not None:
            raise Conflict(why)
        await self._record(caller, "deleted", key)
        try:
            await self._bucket.delete(key, revision=stored.revision)
        except RevisionConflict:
            raise Overtaken(f"the {self._kind.word} changed in this moment; read it again") from None
        self._records.remove(key)

    async def _record(self, caller: Caller, deed: str, key: str) -> None:
        action = f"{self._kind.word.replace(' ', '_')}.{deed}"
        await self._audit.record(caller, action, project=None, target=key)

    def _missing(self, key: str) -> NotFound:
        return NotFound(f"there is no {self._kind.word} {key!r}")
