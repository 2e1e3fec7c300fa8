"""Which replica a key belongs to, so that requests of one kind meet on one replica, whichever router they come through.

Each replica has many points on a ring of 64 bits, made from its id alone; a key belongs to the next point after its own. A
replica that comes or goes moves only the keys that it takes or had. The balancer asks for each request with an affinity.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b, shake_128
from itertools import chain, repeat
from struct import unpack
from typing import Final

_POINTS: Final = 128
"""For each replica; shares then differ by about a tenth."""
_RINGS_KEPT: Final = 256


class Ring:
    """The points of some replicas."""

    __slots__ = ("_indexes", "_points")

    def __init__(self, replica_ids: Sequence[str]) -> None:
        indexes: dict[int, int] = {}
        for index, replica_id in enumerate(replica_ids):
            digest = shake_128(replica_id.encode()).digest(8 * _POINTS)
            indexes.update(zip(unpack(f">{_POINTS}Q", digest), repeat(index)))
        points = sorted(indexes)
        # Arrays take a quarter of the memory that lists would.
        self._points = array("Q", points)
        self._indexes = array("L", [indexes[point] for point in points])

    def owners(self, key: bytes) -> Iterator[int]:
        """Where among the replicas the key's owner is, then the owner if that one were not there, and so on: each once."""
        points, indexes = self._points, self._indexes
        start = bisect_right(points, int.from_bytes(blake2b(key, digest_size=8).digest(), "big"))
        if start == len(points):
            start = 0
        first = indexes[start]
        yield first
        met = {first}
        for position in chain(range(start + 1, len(points)), range(start)):
            index = indexes[position]
            if index not in met:
                met.add(index)
                yield index


@lru_cache(maxsize=_RINGS_KEPT)
def ring_of(replica_ids: tuple[str, ...]) -> Ring:
    """The ring of these replicas, made once."""
    return Ring(replica_ids)
