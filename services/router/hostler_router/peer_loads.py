"""How much the other routers have on each replica, as far as they have told.

Pure; `load_gossip` gives in what it hears, the balancer reads the sums. Each message says all of what its router has, so the latest of each
router counts and nothing adds up over time. Who has not been heard of for a while counts for nothing: a sum of old news would keep
requests away from a replica that has long been idle. Times are monotonic seconds that never go back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Final

from hostler_contracts.router_load import ReplicaWork, RouterLoad

KEPT_SECONDS: Final = 3.0
"""How long what a router said counts without hearing of it again; it says so once a second at least."""
SETTLING_SECONDS: Final = 0.7
"""Of the average that is told: after so long it has come two thirds of the way to what is the case. What one router has at a moment is old when the
others hear it, and of requests that take less long it says nothing by then but where they should all go: the simulation in
`tests/simulation/test_router_load.py` has the figures."""
_CLOSE: Final = 0.05
_PARTS: Final = 1024
"""Requests and work are added up in whole parts of this size, so that what was added is taken away whole."""

_NOTHING: Final = ReplicaWork(0.0, 0.0)


@dataclass(slots=True)
class _Peer:
    """What one router said last."""

    life: str
    number: int
    heard: float
    replicas: Mapping[str, ReplicaWork]


def averaged(
    before: Mapping[str, ReplicaWork], counts: Mapping[str, int], work: Mapping[str, float], seconds: float
) -> dict[str, ReplicaWork]:
    """What is told of a router's requests: an average that is `seconds` further on its way to what is the case now.

    Args:
        before: What was told last.
        counts: Requests under way by replica id.
        work: Their work.
        seconds: Since then.
    """
    share = 1 - exp(-seconds / SETTLING_SECONDS)
    found = {}
    for replica_id in sorted(before.keys() | counts.keys()):
        was = before.get(replica_id, _NOTHING)
        requests, present = counts.get(replica_id, 0), work.get(replica_id, 0.0)
        average = was.requests + share * (requests - was.requests)
        if abs(average - requests) > _CLOSE:
            found[replica_id] = ReplicaWork(
                round(average, 2), round(was.work + share * (present - was.work), 2)
            )
        elif requests:
            found[replica_id] = ReplicaWork(requests, present)
    return found


class PeerLoads:
    """Sums over the other routers.

    Attributes:
        counts: Requests that others have under way; a replica without any is absent. It is the living map, not a copy.
        work: Their work, likewise.
    """

    __slots__ = ("_counts", "_parts", "_peers", "_work", "counts", "work")

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self._parts: dict[str, tuple[int, int]] = {}
        self._counts: dict[str, float] = {}
        self._work: dict[str, float] = {}
        self.counts: Final[Mapping[str, float]] = self._counts
        self.work: Final[Mapping[str, float]] = self._work

    def hear(self, load: RouterLoad, now: float) -> bool:
        """Take in what another router says; False for what is older than what it said before."""
        known = self._peers.get(load.router)
        if known is None:
            known = self._peers[load.router] = _Peer(load.life, load.number, now, {})
        elif (load.life, load.number) <= (known.life, known.number):
            return False
        before, known.replicas = known.replicas, load.replicas
        known.life, known.number, known.heard = load.life, load.number, now
        self._replace(before, load.replicas)
        return True

    def expire(self, now: float) -> None:
        """Forget those that were not heard of for too long."""
        for router, peer in list(self._peers.items()):
            if now - peer.heard > KEPT_SECONDS:
                del self._peers[router]
                self._replace(peer.replicas, {})

    def _replace(self, before: Mapping[str, ReplicaWork], after: Mapping[str, ReplicaWork]) -> None:
        for sign, replicas in ((-1, before), (1, after)):
            for replica_id, each in replicas.items():
                self._add(
                    replica_id, sign * max(round(each.requests * _PARTS), 1), sign * round(each.work * _PARTS)
                )

    def _add(self, replica_id: str, requests: int, work: int) -> None:
        before = self._parts.get(replica_id, (0, 0))
        requests, work = before[0] + requests, before[1] + work
        if requests:
            self._parts[replica_id] = requests, work
            self._counts[replica_id], self._work[replica_id] = requests / _PARTS, work / _PARTS
        else:
            del self._parts[replica_id], self._counts[replica_id], self._work[replica_id]
