"""Which batches of usage were counted already: exact, for as long as the reader lives, in little memory. Pure.

A router numbers its batches, so all that was seen of one writer is a few ranges of numbers: one range as long as nothing is
missing. A batch that comes again, be it after a year, falls into a range. Batches of older routers have no number; those are told by
their ids, of which the latest are remembered.
"""

from bisect import bisect_right
from typing import Final

from hostler_contracts.usage import UsageRecordedV1

_IDS_MAX: Final = 20_000
"""Of batches without a number."""


class SeenBatches:
    """What was counted."""

    def __init__(self) -> None:
        self._writers: dict[str, _Ranges] = {}
        self._ids: dict[str, None] = {}

    def is_new(self, event: UsageRecordedV1) -> bool:
        """Whether this batch comes for the first time; from now on it does not."""
        batch = event.data
        if batch.writer and batch.number:
            ranges = self._writers.get(batch.writer)
            if ranges is None:
                ranges = self._writers[batch.writer] = _Ranges()
            return ranges.add(batch.number)
        if event.id in self._ids:
            return False
        self._ids[event.id] = None
        if len(self._ids) > _IDS_MAX:
            del self._ids[next(iter(self._ids))]
        return True


class _Ranges:
    """Numbers, as ranges without gaps: `starts[i]` up to `ends[i]`, both included, in their order."""

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, number: int) -> bool:
        """Put a number in; False where it is in."""
        at = bisect_right(self.starts, number) - 1  # the last range that begins at or before it
        if at >= 0 and number <= self.ends[at]:
            return False
        joins_left = at >= 0 and self.ends[at] == number - 1
        joins_right = at + 1 < len(self.starts) and self.starts[at + 1] == number + 1
        if joins_left and joins_right:
            self.ends[at] = self.ends.pop(at + 1)
            del self.starts[at + 1]
        elif joins_left:
            self.ends[at] = number
        elif joins_right:
            self.starts[at + 1] = number
        else:
            self.starts.insert(at + 1, number)
            self.ends.insert(at + 1, number)
        return True
