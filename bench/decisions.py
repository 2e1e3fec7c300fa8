"""What the router's decisions cost: microseconds for each, the best of several rounds.

Run it with `python bench/decisions.py`. They are made for every request, or every attempt, on the thread that moves all bytes.
"""

import platform
from collections.abc import Callable
from functools import partial
from random import Random
from timeit import repeat

from hostler_router.balance import pick
from hostler_router.outliers import Failure, Outliers
from hostler_router.outstanding import Outstanding
from hostler_router.retry_budget import RetryBudget
from hostler_router.rings import Ring
from hostler_router.table import Endpoint
from hostler_router.timer_wheel import TimerWheel
from hostler_router.waiting_line import WaitingLine

ROUNDS = 5
PICKS: dict[str, dict[str, object]] = {
    "least outstanding": {},
    "least outstanding, bound": {"bound": 7},
    "two choices": {"choices": 2},
    "two choices, bound": {"choices": 2, "bound": 7},
    "affinity": {"affinity": b"x" * 16},
    "affinity, bound, one excluded": {"affinity": b"x" * 16, "bound": 7, "exclude": {"replica-0"}},
}


class Stall:
    """A stall deadline of a stream that goes on for ever."""

    __slots__ = ()

    def due_again(self, now: float) -> float:
        """Later again."""
        return now + 60


def show(name: str, decision: Callable[[], object], times: int = 5000) -> None:
    """Measure, print."""
    seconds = min(repeat(decision, number=times, repeat=ROUNDS)) / times
    print(f"{name:52} {seconds * 1e6:9.2f} us")


def show_picks(count: int, rng: Random) -> None:
    """Choices among so many replicas."""
    ids = [f"replica-{number}" for number in range(count)]
    endpoints = tuple(Endpoint(replica_id, f"http://{replica_id}") for replica_id in ids)
    outstanding = {replica_id: rng.randrange(8) for replica_id in ids}
    for name, options in PICKS.items():
        show(
            f"pick among {count}, {name}",
            partial(pick, endpoints, outstanding=outstanding, rng=rng, **options),  # type: ignore[arg-type]  # a table of options
        )
    show(f"ring of {count}, once for each set of replicas", lambda: Ring(ids), 10)


def main() -> None:
    """Everything in turn."""
    print(f"Python {platform.python_version()}, {platform.machine()}; the best of {ROUNDS} rounds")
    rng = Random(1)
    for count in (8, 64):
        show_picks(count, rng)

    counted = Outstanding()
    show("outstanding: begin and end", lambda: counted.begin("replica-1").end())

    line: WaitingLine[int] = WaitingLine(1000)
    for number in range(500):
        line.join(number, batch=number % 2 == 0, priority=0, now=0, deadline=1e9)

    def join_and_next() -> None:
        line.join(0, batch=False, priority=0, now=0, deadline=1e9)
        line.next(0)

    show("waiting line of 500: join and next", join_and_next)

    outliers, ids = Outliers(), tuple(f"replica-{number}" for number in range(64))
    show("outliers: a success, all well", lambda: outliers.succeeded("replica-1", 1))
    show("outliers: who is ejected of 64, nobody", lambda: outliers.ejected(ids, 1))
    outliers.failed("replica-1", Failure.STALL, 0)
    show("outliers: who is ejected of 64, one", lambda: outliers.ejected(ids, 1))

    budget = RetryBudget()
    show("retry budget: a request", lambda: budget.request(1))

    wheel, item, now = TimerWheel(), Stall(), 0.0
    stalls = [Stall() for _ in range(10_000)]
    for stall in stalls:
        wheel.arm(stall, 60 * rng.random())

    def arm_and_disarm() -> None:
        wheel.arm(item, 30)
        wheel.disarm(item)

    def tick() -> None:
        nonlocal now
        now += wheel.tick_seconds
        wheel.advance(now)

    show("timer wheel of 10,000: arm and disarm", arm_and_disarm)
    show("timer wheel of 10,000: a tick, each asked every 60 s", tick)


if __name__ == "__main__":
    main()
