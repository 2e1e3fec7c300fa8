"""How many requests this router has on each replica, and which replicas get no more.

The relay counts, the balancer reads, and the provisioner asks through `presence` before it takes a draining replica down.
"""

from collections.abc import Collection, Mapping
from typing import Final

_AVOIDED_MAX: Final = 4096


class Outstanding:
    """Counts by replica id."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._avoided: dict[str, None] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """Requests under way; a replica without any is absent."""
        return self._counts

    @property
    def avoided(self) -> Collection[str]:
        """Replicas that get no more requests."""
        return self._avoided.keys()

    def begin(self, replica_id: str) -> None:
        """A request goes to the replica."""
        self._counts[replica_id] = self._counts.get(replica_id, 0) + 1

    def end(self, replica_id: str) -> None:
        """It is over."""
        remaining = self._counts[replica_id] - 1
        if remaining:
            self._counts[replica_id] = remaining
        else:
            del self._counts[replica_id]

    def left_on(self, replica_id: str) -> int:
        """Requests still on a replica that is being drained.

        Who asks is about to take the replica down, which this router may not have heard yet; from now on it is avoided, so
        that an answer of zero stays true. Replica ids are never used again, so the oldest may be forgotten.
        """
        self._avoided[replica_id] = None
        while len(self._avoided) > _AVOIDED_MAX:
            del self._avoided[next(iter(self._avoided))]
        return self._counts.get(replica_id, 0)
