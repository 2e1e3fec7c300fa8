"""Row 5 of the fault matrix, as far as it concerns limits: Valkey is emptied, killed, frozen or slow, and callers don't notice.

These hold the limiter to the product's own figures: 5 ms for Valkey, decisions within 50 ms, one more minute's worth at most.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from hostler_domain.limits import Limits
from hostler_router.limit_rules import Lease
from hostler_router.limits import Limiter
from hostler_router.limits_store import ROUND_TRIP_SECONDS_MAX
from tests.faults.valkey_faults import heal, hit
from tests.support.eventually import eventually
from tests.support.limits import KEY, PROJECT, limiter_on, store_on
from tests.support.tcp_proxy import tcp_proxy
from tests.support.valkey_server import ValkeyServer

TIMEOUT_SECONDS = 0.005
DECISION_P99_SECONDS = 0.05
LIMIT = 100
LIMITS = Limits(requests_per_minute=LIMIT)
SLOTS = f"hostler:limits:{{{PROJECT}}}:key:{KEY}:slots"


@asynccontextmanager
async def router_limits(url: str, *, routers: int = 1) -> AsyncIterator[Limiter]:
    """A limiter with the product's own timeouts, once Valkey answers it in time."""
    store = store_on(url, timeout_seconds=ROUND_TRIP_SECONDS_MAX)
    async with limiter_on(store, timeout_seconds=TIMEOUT_SECONDS, routers=routers) as limiter:
        yield limiter


async def counted_in_valkey(limiter: Limiter) -> None:
    """Wait until Valkey decides."""
    before = limiter.counts.by_store
    async with asyncio.timeout(30):
        while limiter.counts.by_store == before:
            await limiter.admit("of-nobody", LIMITS, "other", None, 0)
            await asyncio.sleep(0.02)


@dataclass
class Decisions:
    admitted: int = 0
    seconds: list[float] = field(default_factory=list)

    async def ask(self, limiter: Limiter, count: int) -> None:
        for _ in range(count):
            began = time.perf_counter()
            verdict = await limiter.admit(KEY, LIMITS, PROJECT, None, 0)
            self.seconds.append(time.perf_counter() - began)
            self.admitted += verdict.admitted

    @property
    def p99_seconds(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_limits_are_decided_in_time_while_valkey_is_away_and_by_it_when_it_is_back(
    valkey: ValkeyServer, fault: str
) -> None:
    async with router_limits(valkey.url) as limiter:
        await counted_in_valkey(limiter)
        before, during = Decisions(), Decisions()
        await before.ask(limiter, 2 * LIMIT)
        hit(valkey, fault)
        began = time.monotonic()
        await during.ask(limiter, 4 * LIMIT)
        assert not limiter.store_trusted
        passed_seconds = time.monotonic() - began
        assert during.p99_seconds < DECISION_P99_SECONDS
        # A minute's worth, and what leaked meanwhile.
        assert LIMIT <= before.admitted + during.admitted <= 2 * LIMIT + LIMIT * passed_seconds / 60 + 2
        heal(valkey, fault)
        await eventually(lambda: limiter.store_trusted, timeout_seconds=30)
        await counted_in_valkey(limiter)
    print(f"{fault}: p99 {during.p99_seconds * 1000:.2f} ms, {limiter.counts}")


async def test_of_several_routers_each_gives_its_share_while_valkey_is_away(valkey: ValkeyServer) -> None:
    async with router_limits(valkey.url, routers=2) as first, router_limits(valkey.url, routers=2) as second:
        await counted_in_valkey(first)
        await counted_in_valkey(second)
        valkey.freeze()
        began = time.monotonic()
        decisions = Decisions()
        await asyncio.gather(decisions.ask(first, LIMIT), decisions.ask(second, LIMIT))
        leaked = LIMIT * (time.monotonic() - began) / 60
        assert LIMIT - 2 <= decisions.admitted <= LIMIT + leaked + 2


async def test_an_emptied_valkey_lets_one_more_minute_through_at_most(valkey: ValkeyServer) -> None:
    async with router_limits(valkey.url) as limiter:
        await counted_in_valkey(limiter)
        decisions, began = Decisions(), time.monotonic()
        await decisions.ask(limiter, 2 * LIMIT)
        hit(valkey, "emptied")
        await decisions.ask(limiter, 2 * LIMIT)
        leaked = LIMIT * (time.monotonic() - began) / 60
        # A decision that came too late on a busy machine is the share's, which is a bucket of its own, filled once.
        spare = LIMIT if limiter.counts.by_share else 0
        assert decisions.admitted <= 2 * LIMIT + leaked + spare + 2


async def test_a_valkey_that_answers_after_thirty_seconds_delays_nobody(valkey: ValkeyServer) -> None:
    async with tcp_proxy(valkey.port) as proxy, router_limits(valkey.url_at(proxy.port)) as limiter:
        await counted_in_valkey(limiter)
        proxy.delay_seconds = 30.0
        decisions = Decisions()
        await decisions.ask(limiter, 4 * LIMIT)
        assert decisions.p99_seconds < DECISION_P99_SECONDS
        assert not limiter.store_trusted


async def test_what_valkey_counted_too_late_is_given_back_with_the_request(valkey: ValkeyServer) -> None:
    limits = Limits(concurrency=1)

    async def admitted_late(limiter: Limiter) -> Lease:
        late = limiter.counts.late
        verdict = await limiter.admit(KEY, limits, PROJECT, None, 0)
        assert (limiter.counts.late, verdict.admitted) == (late + 1, True)
        assert verdict.lease is not None
        return verdict.lease

    async with tcp_proxy(valkey.port) as proxy, router_limits(valkey.url_at(proxy.port)) as limiter:
        await counted_in_valkey(limiter)
        proxy.delay_seconds = 0.3
        lease = await admitted_late(limiter)
        with valkey.client() as client:
            held: Callable[[], bool] = lambda: client.zcard(SLOTS) == 1  # noqa: E731  # one line that is used twice
            free: Callable[[], bool] = lambda: client.zcard(SLOTS) == 0  # noqa: E731
            await eventually(held)
            # Before the answer is here, and so before the router knows that there is something to give back.
            lease.settle(None)
            proxy.delay_seconds = 0.0
            await eventually(free)
