"""A limiter without a Valkey, and what callers may rely on whoever decides."""

import asyncio

import pytest
import structlog

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_contracts import subjects
from hostler_domain.limits import Limits
from hostler_router.limit_rules import Verdict
from hostler_router.limits import Limiter
from hostler_router.limits_store import PREFIX
from hostler_router.router_count import RouterCount
from tests.integration.router_limits.conftest import MakeLimiter
from tests.support.limits import KEY, PROJECT, limiter_on, store_on
from tests.support.manual_clock import ManualClock
from tests.support.valkey_server import ValkeyServer

RPM = Limits(requests_per_minute=10)


def alone(clock: ManualClock, routers: int = 1) -> Limiter:
    return Limiter(
        None,
        clock=clock,
        routers=lambda: routers,
        timeout_seconds=0.005,
        lease_seconds=30,
        logger=structlog.get_logger(),
    )


def admitted(limiter: Limiter, limits: Limits, *, tries: int = 50, tokens: int = 0) -> list[Verdict]:
    """Verdicts that let a request begin; without a Valkey they are there at once."""
    given: list[Verdict] = []
    for _ in range(tries):
        limiter.submit(KEY, limits, PROJECT, None, tokens, given.append)
    assert len(given) == tries
    return [each for each in given if each.admitted]


async def test_without_a_valkey_each_router_gives_its_share(manual_clock: ManualClock) -> None:
    limiter = alone(manual_clock, routers=2)
    assert len(admitted(limiter, RPM)) == 5
    manual_clock.jump(60)
    assert len(admitted(limiter, RPM)) == 5
    assert limiter.counts.refused == {"key.requests_per_minute": 90}


async def test_a_slot_is_given_back_once_however_often_it_is_settled(manual_clock: ManualClock) -> None:
    limiter = alone(manual_clock)
    limits = Limits(concurrency=2)
    first, second = admitted(limiter, limits)
    assert first.lease is not None
    first.lease.settle(None)
    first.lease.settle(None)
    third = admitted(limiter, limits)
    assert (len(third), second.admitted) == (1, True)


async def test_tokens_that_were_not_used_are_there_for_the_next(manual_clock: ManualClock) -> None:
    limiter = alone(manual_clock)
    limits = Limits(tokens_per_minute=100)
    [verdict] = admitted(limiter, limits, tokens=90)
    assert verdict.lease is not None
    verdict.lease.settle(10)
    assert len(admitted(limiter, limits, tokens=90)) == 1


async def test_tokens_are_given_back_once_however_often_it_is_said(manual_clock: ManualClock) -> None:
    limiter = alone(manual_clock)
    limits = Limits(tokens_per_minute=100)
    [first, _] = admitted(limiter, limits, tokens=40)
    assert first.lease is not None
    first.lease.settle(10)
    first.lease.settle(10)
    assert [len(admitted(limiter, limits, tokens=tokens)) for tokens in (60, 50)] == [0, 1]


async def test_what_a_caller_raises_keeps_nobody_else_from_an_answer(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    loop, raised = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _loop, context: raised.append(context["exception"]))

    def broken(_verdict: Verdict) -> None:
        raise RuntimeError("a bug of the caller")

    limiter.submit(KEY, RPM, PROJECT, None, 0, broken)
    assert (await limiter.admit(KEY, RPM, PROJECT, None, 0)).admitted
    assert [str(each) for each in raised] == ["a bug of the caller"]


async def test_a_limiter_that_stops_gives_its_last_slots_back(valkey: ValkeyServer) -> None:
    limits = Limits(concurrency=1)
    async with limiter_on(store_on(valkey.url)) as limiter:
        verdict = await limiter.admit(KEY, limits, PROJECT, None, 0)
        assert verdict.lease is not None
        with valkey.client() as client:
            name = f"{PREFIX}:{{{PROJECT}}}:key:{KEY}:slots"
            assert client.zcard(name) == 1
            verdict.lease.settle(None)
    with valkey.client() as client:
        assert client.zcard(name) == 0


@pytest.mark.parametrize(("names", "alive"), [([], 1), (["a"], 1), (["a", "b", "c"], 3)])
async def test_routers_are_counted_by_their_entries(
    names: list[str], alive: int, manual_clock: ManualClock
) -> None:
    bus = MemoryBus(MemoryServer(clock=manual_clock))
    for name in names:
        await bus.bucket(subjects.BUCKET_ROUTERS).put(name, b"{}", ttl_seconds=10)
    count = RouterCount(bus, period_seconds=5, clock=manual_clock, logger=structlog.get_logger())
    await count.look()
    assert count.alive() == alive
    # The entries of those that died run out.
    manual_clock.jump(11)
    await count.look()
    assert count.alive() == 1
    await bus.drain()
