"""Callers whose requests come quickly, at routers that take room for them in advance from a real Valkey."""

import asyncio
import time

from hostler_domain.limits import Limits
from hostler_router.limit_rules import Verdict
from hostler_router.limits import Limiter
from hostler_router.limits_store import PREFIX
from tests.integration.router_limits.conftest import MakeLimiter
from tests.support.eventually import eventually
from tests.support.limits import KEY, PROJECT, limiter_on, store_on
from tests.support.valkey_server import ValkeyServer

MUCH = Limits(requests_per_minute=600_000, tokens_per_minute=60_000_000)
RATES = f"{PREFIX}:{{{PROJECT}}}:key:{KEY}:rates"
SLOTS = f"{PREFIX}:{{{PROJECT}}}:key:{KEY}:slots"
TOKENS = 1000


async def hurry(limiter: Limiter, limits: Limits, *, until_granted: int, used: int = TOKENS) -> list[Verdict]:
    """Ask one after the other until so many were let in from a grant; what was let in has ended."""
    verdicts: list[Verdict] = []
    async with asyncio.timeout(60):
        while limiter.counts.by_grant < until_granted:
            verdict = await limiter.admit(KEY, limits, PROJECT, None, TOKENS)
            verdicts.append(verdict)
            if verdict.lease is not None:
                verdict.lease.settle(used)
            await asyncio.sleep(0.001)
    return verdicts


async def test_they_are_let_in_at_once_and_counted_all_the_same(
    make_limiter: MakeLimiter, valkey: ValkeyServer
) -> None:
    limiter = await make_limiter()
    began = time.monotonic()
    verdicts = await hurry(limiter, MUCH, until_granted=300)
    assert all(each.admitted for each in verdicts)
    assert limiter.counts.by_store == len(verdicts)
    before = len(verdicts)
    given: list[Verdict] = []
    limiter.submit(KEY, MUCH, PROJECT, None, TOKENS, given.append)
    assert len(given) == 1, "the answer is there before the call comes back"
    with valkey.client() as client:
        leaked = 10_000 * (time.monotonic() - began)
        assert float(client.hget(RATES, "requests") or 0) + leaked >= before


async def test_what_nobody_uses_is_given_back(make_limiter: MakeLimiter, valkey: ValkeyServer) -> None:
    # So slow to leak that hardly anything of it leaks while this runs.
    limits = Limits(requests_per_minute=6000, tokens_per_minute=6_000_000)
    limiter = await make_limiter()
    began = time.monotonic()
    verdicts = await hurry(limiter, limits, until_granted=50, used=10)

    def counted() -> tuple[float, float]:
        requests, tokens = client.hmget(RATES, "requests", "tokens")
        return float(requests or 0), float(tokens or 0)

    with valkey.client() as client:
        assert counted()[0] > 0
        await eventually(lambda: counted()[0] <= len(verdicts) and counted()[1] <= len(verdicts) * 10)
        leaked = 100 * (time.monotonic() - began)
        assert counted()[0] >= len(verdicts) - leaked - 1


async def test_a_router_that_stops_gives_it_back_at_once(valkey: ValkeyServer) -> None:
    limits = Limits(requests_per_minute=6000, tokens_per_minute=6_000_000)
    async with limiter_on(store_on(valkey.url)) as limiter:
        verdicts = await hurry(limiter, limits, until_granted=50, used=10)
    with valkey.client() as client:
        requests, tokens = client.hmget(RATES, "requests", "tokens")
    assert float(requests or 0) <= len(verdicts)
    assert float(tokens or 0) <= len(verdicts) * 10


async def test_routers_with_grants_let_in_the_limit_together_and_leave_nothing_of_it(
    make_limiter: MakeLimiter,
) -> None:
    limits = Limits(requests_per_minute=1500)
    limiters = [await make_limiter(routers=2), await make_limiter(routers=2)]
    admitted, refused_last = 0, 0.0
    began = time.monotonic()

    async def ask(limiter: Limiter) -> None:
        nonlocal admitted, refused_last
        refused = 0
        while refused < 30:
            verdict = await limiter.admit(KEY, limits, PROJECT, None, 0)
            admitted += verdict.admitted
            refused += not verdict.admitted
            await asyncio.sleep(0.001)

    await asyncio.gather(*(ask(limiter) for limiter in limiters for _ in range(4)))
    passed = time.monotonic() - began
    assert 1500 <= admitted <= 1500 + 1500 * passed / 60 + 1
    assert all(limiter.counts.by_grant > 0 for limiter in limiters), "else this shows nothing"


async def test_slots_are_used_again_without_asking_and_come_back_to_valkey(
    make_limiter: MakeLimiter, valkey: ValkeyServer
) -> None:
    limits = Limits(requests_per_minute=600_000, concurrency=100)
    limiter = await make_limiter()
    await hurry(limiter, limits, until_granted=100)
    with valkey.client() as client:
        assert 1 <= client.zcard(SLOTS) <= 4
        await eventually(lambda: client.zcard(SLOTS) == 0)
    assert list(limiter._held.requests()) == []


async def test_new_limits_hold_at_once(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    await hurry(limiter, MUCH, until_granted=20)
    refused = await limiter.admit(KEY, Limits(requests_per_minute=1), PROJECT, None, 0)
    assert refused.refused_by == "key.requests_per_minute"
