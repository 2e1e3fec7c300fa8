"""Batches that wait to be stored again: on the disk, or in memory where the disk takes none.

`UsageSender` keeps here what could not be stored in time, and settles what was stored late after all; `UsageReporter` has the rest
stored again. What is held in memory is lost with the process, and the oldest of it is given up where it becomes too much.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from hostler_router.usage_batches import Batch
from hostler_router.usage_segments import Segment, Torn
from hostler_router.usage_spool import UsageSpool, synchronise

MEMORY_BYTES_MAX: Final = 16 * 1024 * 1024

Lost = Callable[[int, str, str], None]
"""Told how many requests are given up, for which subject or job, and why."""
Spooled = Callable[[int], None]
"""Told how many requests are now on the disk that were not."""


class InMemory:
    """Batches in memory, oldest first."""

    def __init__(self) -> None:
        self._batches: dict[str, Batch] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._batches)

    def add(self, batch: Batch) -> Iterator[Batch]:
        """Hold one more; gives those for which there is no room any more."""
        self._batches[batch.msg_id] = batch
        self._bytes += len(batch.data)
        while self._bytes > MEMORY_BYTES_MAX:
            oldest = next(iter(self._batches))
            yield self._batches[oldest]
            self.settle(oldest)

    def settle(self, msg_id: str) -> None:
        """A batch is stored, or given up."""
        batch = self._batches.pop(msg_id, None)
        if batch is not None:
            self._bytes -= len(batch.data)

    def unsettled(self) -> Iterator[Batch | Torn]:
        """All of them."""
        yield from tuple(self._batches.values())


Place = Segment | InMemory
"""Where a batch is kept."""


class Backlog:
    """All that waits.

    Attributes:
        kept: How many requests were kept on the disk so far.
        torn: How many lines were not whole: what a killed process had not finished, and no caller had been told of.
    """

    def __init__(self, spool: UsageSpool | None, lost: Lost, spooled: Spooled) -> None:
        self._spool = spool
        self._memory = InMemory()
        self._lost = lost
        self._spooled = spooled
        self.kept = 0
        self.torn = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._memory and not (self._spool and self._spool.segments)

    @property
    def bytes(self) -> int:
        """How much is on the disk."""
        return 0 if self._spool is None else self._spool.bytes

    def keep(self, batches: list[Batch]) -> Place:
        """Keep batches until they are settled; gives where."""
        segment = None if self._spool is None else self._spool.keep(batches)
        if segment is not None:
            requests = sum(batch.requests for batch in batches)
            self.kept += requests
            self._spooled(requests)
            return segment
        for batch in batches:
            for gone in self._memory.add(batch):
                self._lost(gone.requests, gone.subject, "too many batches wait, and none of them on the disk")
        return self._memory

    def settle(self, place: Place, msg_id: str) -> None:
        """A batch that was kept there is stored, or given up."""
        if isinstance(place, Segment):
            if self._spool is not None:
                self._spool.settle(place, msg_id)
        else:
            place.settle(msg_id)

    def waiting(self) -> Iterator[tuple[Place, Batch]]:
        """What waits, oldest first but for what is in memory, which comes last.

        Batches may be settled meanwhile; a file in which nothing is left goes when its end is reached, if not before.
        """
        for segment in () if self._spool is None else self._spool.segments:
            for found in segment.unsettled():
                if isinstance(found, Torn):
                    self.torn += 1
                else:
                    yield segment, found
            if self._spool is not None:
                self._spool.drop_if_done(segment)
        for found in self._memory.unsettled():
            if isinstance(found, Batch):
                yield self._memory, found

    def adopt(self) -> int:
        """Take over what dead processes have left on the disk; gives how many files."""
        return 0 if self._spool is None else self._spool.adopt()

    async def synchronise(self, *others: int) -> None:
        """Bring what was kept to the disk itself, beside the event loop, and these descriptors as well, which are closed then.

        Raises:
            OSError: the disk did not take it.
        """
        descriptors = [*others, *([] if self._spool is None else self._spool.to_sync())]
        if descriptors:
            await asyncio.to_thread(synchronise, descriptors)

    def close(self) -> None:
        """Let go of the files."""
        if self._spool is not None:
            self._spool.close()
