"""Several workers that spread requests over the replicas: how even it is with what they tell each other, and without.

Virtual time, the router's own `pick`, `Outstanding` and `PeerLoads`; connections are spread over workers as the kernel does it, by chance and not evenly,
and a connection stays with its worker.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from statistics import mean

import pytest

from hostler_contracts.router_load import ReplicaWork, RouterLoad
from hostler_router.balance import pick
from hostler_router.outstanding import Hold, Outstanding
from hostler_router.peer_loads import PeerLoads, averaged
from hostler_router.table import Endpoint

WORKERS, REPLICAS = 4, 16
SHARES = (0.4, 0.3, 0.2, 0.1)
REQUESTS = 12_000
GOSSIP_SECONDS, DELAY_SECONDS = 0.15, 0.01
UNDER_WAY = 128


_Begun = tuple[Hold, dict[str, int]]


@dataclass
class Worker:
    """One router process."""

    name: str
    outstanding: Outstanding = field(default_factory=Outstanding)
    peers: PeerLoads = field(default_factory=PeerLoads)
    number: int = 0
    told: dict[str, ReplicaWork] = field(default_factory=dict)

    def says(self) -> RouterLoad:
        self.number += 1
        self.told = averaged(self.told, self.outstanding.counts, self.outstanding.work, GOSSIP_SECONDS)
        return RouterLoad(router=self.name, life="1", number=self.number, replicas=self.told)


def busiest_over_mean(request_seconds: float, *, gossip: bool, seed: int = 7) -> float:
    """How much busier than the mean the busiest replica is, over time; `UNDER_WAY` requests at a time, each this long on average."""
    rng = Random(seed)
    workers = [Worker(f"w{number}") for number in range(WORKERS)]
    candidates = tuple(Endpoint(f"r{number:02}", f"http://r{number}") for number in range(REPLICAS))
    total = dict.fromkeys((each.replica_id for each in candidates), 0)
    found: list[float] = []
    begun: list[_Begun] = []
    for kind, value in _course(request_seconds, rng, workers, begun, gossip=gossip):
        if kind == "begins":
            worker = workers[int(value)]
            picked = pick(
                candidates,
                outstanding=worker.outstanding.counts,
                elsewhere=worker.peers.counts,
                rng=rng,
                choices=2,
            )
            assert picked is not None
            total[picked.replica_id] += 1
            begun.append((worker.outstanding.begin(picked.replica_id), total))
        elif kind == "looked at":
            under_way = mean(total.values())
            if under_way > UNDER_WAY / REPLICAS / 2:
                found.append(max(total.values()) / under_way)
    return mean(found)


def _course(
    request_seconds: float, rng: Random, workers: list[Worker], last: list[_Begun], *, gossip: bool
) -> Iterator[tuple[str, float]]:
    """What happens, in the order of its times."""
    agenda: list[tuple[float, int, str, object]] = []
    count = 0

    def plan(at: float, what: str, about: object) -> None:
        nonlocal count
        count += 1
        heappush(agenda, (at, count, what, about))

    pause = request_seconds / UNDER_WAY
    plan(0.0, "begins", 0)
    plan(0.0, "looked at", None)
    if gossip:
        for number, worker in enumerate(workers):
            plan(GOSSIP_SECONDS * number / WORKERS, "tells", worker)
    begun = 0
    while agenda and begun < REQUESTS:
        now, _, what, about = heappop(agenda)
        if what == "begins":
            begun += 1
            yield "begins", float(rng.choices(range(WORKERS), SHARES)[0])
            plan(now + rng.expovariate(1 / request_seconds), "ends", last.pop())
            plan(now + rng.expovariate(1 / pause), "begins", None)
        elif what == "ends":
            assert isinstance(about, tuple)
            hold, total = about
            total[hold.replica_id] -= 1
            hold.end()
        elif what == "tells":
            assert isinstance(about, Worker)
            plan(now + DELAY_SECONDS, "is heard", about.says())
            plan(now + GOSSIP_SECONDS, "tells", about)
        elif what == "is heard":
            assert isinstance(about, RouterLoad)
            for worker in workers:
                if worker.name != about.router:
                    worker.peers.hear(about, now)
        else:
            yield "looked at", now
            plan(now + pause * 5, "looked at", None)


@pytest.mark.parametrize(
    ("request_seconds", "better"),
    [
        pytest.param(20.0, 0.75, id="streams of 20 s"),
        pytest.param(2.0, 0.9, id="answers of 2 s"),
        pytest.param(0.1, 1.06, id="answers of 0.1 s are hardly harmed"),
    ],
)
def test_workers_that_tell_each_other_spread_the_load_more_evenly(
    request_seconds: float, better: float
) -> None:
    without = busiest_over_mean(request_seconds, gossip=False)
    told = busiest_over_mean(request_seconds, gossip=True)
    print(
        f"{WORKERS} workers, {REPLICAS} replicas, {UNDER_WAY} requests of {request_seconds:g} s under way: "
        f"the busiest replica has {without:.2f} times the mean, {told:.2f} with what the workers tell each other"
    )
    assert told - 1 < better * (without - 1)
