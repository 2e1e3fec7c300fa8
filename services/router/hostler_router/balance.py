"""Which replica takes a request: the one with the fewest requests under way.

Pure; called by the relay for every attempt. `outstanding` counts this router's own requests, which is enough: several
routers each spreading their share evenly spread the whole evenly.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from hostler_router.table import Endpoint


class Rng(Protocol):
    """Where a tie is decided; `random.Random` is one."""

    def randrange(self, stop: int, /) -> int:
        """A number from 0 to below `stop`."""
        ...


def pick(
    candidates: Sequence[Endpoint],
    *,
    outstanding: Mapping[str, int],
    rng: Rng,
    exclude: Collection[str] = (),
) -> Endpoint | None:
    """The candidate with the fewest requests outstanding; None when all are excluded.

    Args:
        candidates: Replicas that serve.
        outstanding: Requests under way by replica id; absent means none.
        rng: Decides between equals, so that idle replicas take turns.
        exclude: Ids of replicas that are not to be picked, because they were tried.
    """
    eligible = [endpoint for endpoint in candidates if endpoint.replica_id not in exclude]
    if not eligible:
        return None
    fewest = min(outstanding.get(endpoint.replica_id, 0) for endpoint in eligible)
    equals = [endpoint for endpoint in eligible if outstanding.get(endpoint.replica_id, 0) == fewest]
    return equals[rng.randrange(len(equals))]
