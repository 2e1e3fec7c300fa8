"""How many requests, and how much work, this router has on each replica.

Whoever sends a request to a replica counts it here, the balancer reads, and the provisioner asks through `presence` before it
takes a draining replica down. Picking a replica and counting the request on it happen without a pause between, so a replica
that is picked no more and counts zero stays at zero.
"""

from collections.abc import Mapping
from typing import Final

_PARTS: Final = 1024
"""Work is counted in parts of this size, a power of two: sums of such numbers are exact, so what was added is taken away whole."""
_WORK_MAX: Final = float(2**32)


class Hold:
    """One request on one replica, until it ends."""

    __slots__ = ("_outstanding", "replica_id", "work")

    def __init__(self, outstanding: "Outstanding", replica_id: str, work: float) -> None:
        self._outstanding: Outstanding | None = outstanding
        self.replica_id = replica_id
        self.work = work

    def end(self) -> None:
        """It is over; saying so again changes nothing."""
        outstanding = self._outstanding
        if outstanding is not None:
            self._outstanding = None
            outstanding.end(self.replica_id, self.work)


class Outstanding:
    """Requests and work by replica id.

    Attributes:
        counts: Requests under way; a replica without any is absent. It is the living map, not a copy.
        work: Work under way, in the unit that `begin` was given, likewise.
    """

    __slots__ = ("_counts", "_work", "counts", "work")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._work: dict[str, float] = {}
        self.counts: Final[Mapping[str, int]] = self._counts
        self.work: Final[Mapping[str, float]] = self._work

    def begin(self, replica_id: str, work: float = 1.0) -> Hold:
        """A request goes to the replica.

        Args:
            replica_id: The replica.
            work: How much it is, such as seconds of audio; no less than 0.

        Raises:
            ValueError: `work` is no such number.
        """
        if work != 1.0:
            if not 0.0 <= work <= _WORK_MAX:
                raise ValueError("work is a number between 0 and 2**32")
            work = round(work * _PARTS) / _PARTS
        counts, sums = self._counts, self._work
        counts[replica_id] = counts.get(replica_id, 0) + 1
        sums[replica_id] = sums.get(replica_id, 0.0) + work
        return Hold(self, replica_id, work)

    def enter(self, replica_id: str) -> None:
        """A request goes to the replica, and its caller keeps no `Hold`; it is one of work."""
        counts, sums = self._counts, self._work
        counts[replica_id] = counts.get(replica_id, 0) + 1
        sums[replica_id] = sums.get(replica_id, 0.0) + 1.0

    def hold_of(self, replica_id: str) -> Hold:
        """A hold for a request that has entered."""
        return Hold(self, replica_id, 1.0)

    def end(self, replica_id: str, work: float = 1.0) -> None:
        """A request is over; for callers that keep no `Hold`."""
        remaining = self._counts[replica_id] - 1
        if remaining:
            self._counts[replica_id] = remaining
            self._work[replica_id] -= work
        else:
            del self._counts[replica_id], self._work[replica_id]

    def left_on(self, replica_id: str) -> int:
        """Requests still under way on the replica."""
        return self._counts.get(replica_id, 0)
