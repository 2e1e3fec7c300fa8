"""How many requests this router has on each replica.

The relay counts, the balancer reads, and the provisioner asks through `presence` before it takes a draining replica down.
Picking a replica and counting the request on it happen without a pause between, so a replica that is picked no more and
counts zero stays at zero.
"""

from collections.abc import Mapping


class Outstanding:
    """Counts by replica id."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """Requests under way; a replica without any is absent."""
        return self._counts

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
        """Requests still under way on the replica."""
        return self._counts.get(replica_id, 0)
