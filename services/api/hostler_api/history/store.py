"""Where slots lie: in Valkey, many of a job and resolution to a hash, replaced only as they were read.

A slot is written by compare-and-set, so a recorder that was paused and wakes can't take back what its successor wrote.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from hostler_api.history.resolutions import Resolution
from hostler_api.history.slots import Slot, UnreadableSlot, decode_slot, encode_slot
from hostler_domain.errors import TemporaryError
from hostler_kit.valkey import Valkey

_PREFIX: Final = "hostler:history"
_AT_ONCE: Final = 500
T = TypeVar("T")

# KEYS: the chunk. ARGV: field, what was read ("" for nothing), what to write, time to live in seconds.
_REPLACE: Final = """
local present = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if present ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


class SlotTaken(TemporaryError):
    """Somebody else wrote a slot meanwhile."""


@dataclass(frozen=True, slots=True)
class SlotKey:
    """Which slot.

    Attributes:
        job_id: Whose.
        replica_id: Of which replica; empty for the whole job.
        resolution: How long it is.
        number: Which one, counted from 1970.
    """

    job_id: str
    replica_id: str
    resolution: Resolution
    number: int

    @property
    def chunk(self) -> str:
        """The key of the hash that it lies in."""
        chunk = self.number // self.resolution.slots_per_chunk
        return f"{_PREFIX}:{self.resolution.name}:{self.job_id}:{self.replica_id}:{chunk}"

    @property
    def start_ms(self) -> int:
        """When it begins, in milliseconds since 1970."""
        return self.number * self.resolution.slot_seconds * 1000

    @property
    def field(self) -> str:
        """Its name in there."""
        return str(self.number)


@dataclass(frozen=True, slots=True)
class StoredSlot:
    """A slot and the bytes from which it was read, empty for one that is not there."""

    slot: Slot
    read: bytes


class SlotStore:
    """Reads and writes slots."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    async def load(self, keys: Iterable[SlotKey]) -> dict[SlotKey, StoredSlot]:
        """The slots under these keys; one that is not there, or can't be read, comes empty.

        Raises:
            ValkeyUnavailable: it could not be asked.
        """
        found: dict[SlotKey, StoredSlot] = {}
        for some in _portions(keys):
            async with self._valkey.calls() as client:
                pipe = client.pipeline(transaction=False)
                for key in some:
                    pipe.hget(key.chunk, key.field)
                answers = await pipe.execute()
            for key, answer in zip(some, answers, strict=True):
                found[key] = _stored(answer or b"", key.start_ms)
        return found

    async def replace(self, slots: Mapping[SlotKey, StoredSlot]) -> dict[SlotKey, StoredSlot]:
        """Write slots in the place of what was read; gives them as they are stored now.

        Raises:
            SlotTaken: one of them is not as it was read any more; some may have been written.
            ValkeyUnavailable: the store did not do it in time; some may have been written.
        """
        written: dict[SlotKey, StoredSlot] = {}
        for some in _portions(slots.items()):
            new = {key: encode_slot(stored.slot, key.start_ms) for key, stored in some}
            async with self._valkey.calls() as client:
                pipe = client.pipeline(transaction=False)
                for key, stored in some:
                    ttl = str(key.resolution.chunk_ttl_seconds)
                    pipe.eval(_REPLACE, 1, key.chunk, key.field, stored.read, new[key], ttl)
                answers = await pipe.execute()
            if not all(answers):
                raise SlotTaken("another recorder writes metric history")
            written |= {key: StoredSlot(stored.slot, new[key]) for key, stored in some}
        return written

    async def read(
        self, job_id: str, replica_id: str, resolution: Resolution, first: int, last: int
    ) -> dict[int, Slot]:
        """The slots from number `first` to `last` that are there.

        Raises:
            ValkeyUnavailable: it could not be asked.
        """
        return {
            number: slot
            async for number, slot in self._chunks(job_id, replica_id, resolution, first, last)
            if first <= number <= last
        }

    async def _chunks(
        self, job_id: str, replica_id: str, resolution: Resolution, first: int, last: int
    ) -> AsyncIterator[tuple[int, Slot]]:
        numbers = range(first - first % resolution.slots_per_chunk, last + 1, resolution.slots_per_chunk)
        async with self._valkey.calls() as client:
            pipe = client.pipeline(transaction=False)
            for number in numbers:
                pipe.hgetall(SlotKey(job_id, replica_id, resolution, number).chunk)
            chunks = await pipe.execute()
        for chunk in chunks:
            for field, data in chunk.items():
                key = SlotKey(job_id, replica_id, resolution, int(field))
                stored = _stored(data, key.start_ms)
                if stored.slot.sources:
                    yield key.number, stored.slot


def _stored(data: bytes, start_ms: int) -> StoredSlot:
    try:
        return StoredSlot(decode_slot(data, start_ms) if data else Slot(), data)
    except UnreadableSlot:
        # By a later version, or damaged: metric history may be lost, and a recorder that stops at it loses more.
        return StoredSlot(Slot(), data)


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of a length that one round trip carries."""
    rest = list(items)
    for start in range(0, len(rest), _AT_ONCE):
        yield rest[start : start + _AT_ONCE]
