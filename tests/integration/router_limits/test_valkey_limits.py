"""Limits that several routers count together in a real Valkey."""

import asyncio
import time

from hostler_domain.limits import Limits
from hostler_router.limit_rules import Verdict
from hostler_router.limits import Limiter
from tests.integration.router_limits.conftest import MakeLimiter
from tests.support.eventually import eventually
from tests.support.limits import KEY, PROJECT, first_verdict
from tests.support.valkey_server import ValkeyServer

RPM = Limits(requests_per_minute=10)
TPM = Limits(tokens_per_minute=1000)


async def storm(limiters: list[Limiter], limits: Limits, count: int, tokens: int = 0) -> list[Verdict]:
    return await asyncio.gather(
        *(limiters[i % len(limiters)].admit(KEY, limits, PROJECT, None, tokens) for i in range(count))
    )


def admitted(verdicts: list[Verdict]) -> int:
    return sum(each.admitted for each in verdicts)


async def test_of_fifty_at_once_as_many_begin_as_the_limit_says(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    verdicts = await storm([limiter], RPM, 50)
    assert (admitted(verdicts), limiter.counts.by_store) == (10, 50)
    refused = next(each for each in verdicts if not each.admitted)
    assert refused.refused_by == "key.requests_per_minute"
    assert 0 < refused.retry_after_seconds <= 6
    headers = dict(refused.headers)
    assert (headers[b"x-ratelimit-limit-requests"], headers[b"x-ratelimit-remaining-requests"]) == (
        b"10",
        b"0",
    )


async def test_two_routers_share_a_limit(make_limiter: MakeLimiter) -> None:
    limiters = [await make_limiter(), await make_limiter()]
    assert admitted(await storm(limiters, RPM, 50)) == 10


async def test_tokens_are_counted_as_they_were_used_in_the_end(make_limiter: MakeLimiter) -> None:
    first, second = await make_limiter(), await make_limiter()
    [verdict] = await storm([first], TPM, 1, tokens=900)
    assert not (await second.admit(KEY, TPM, PROJECT, None, 500)).admitted
    assert verdict.lease is not None
    verdict.lease.settle(100)
    verdict.lease.settle(100)
    # Far sooner than they leak away, which takes half a minute.
    await first_verdict(second, TPM, tokens=500, admitted=True)


async def test_who_used_more_than_was_set_aside_waits_for_longer(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    [verdict] = await storm([limiter], TPM, 1, tokens=1)
    assert verdict.lease is not None
    verdict.lease.settle(5000)
    refused = await first_verdict(limiter, TPM, tokens=1, admitted=False)
    # Two minutes' worth at most is on the account, so the first token fits after one.
    assert 40 < refused.retry_after_seconds < 61


async def test_a_slot_is_free_again_when_its_request_has_ended(make_limiter: MakeLimiter) -> None:
    first, second = await make_limiter(), await make_limiter()
    limits = Limits(concurrency=3)
    verdicts = await storm([first], limits, 10)
    assert admitted(verdicts) == 3
    refused = await second.admit(KEY, limits, PROJECT, None, 0)
    assert (refused.refused_by, refused.retry_after_seconds) == ("key.concurrency", 1.0)
    for each in verdicts:
        if each.lease is not None:
            each.lease.settle(None)
            each.lease.settle(None)
    taken = [await first_verdict(second, limits, admitted=True) for _ in range(3)]
    assert not (await second.admit(KEY, limits, PROJECT, None, 0)).admitted
    assert len(taken) == 3


async def test_slots_of_a_router_that_died_expire(make_limiter: MakeLimiter, valkey: ValkeyServer) -> None:
    dead = await make_limiter(lease_seconds=0.4)
    limits = Limits(concurrency=2)
    held = await storm([dead], limits, 2)
    assert admitted(held) == 2
    alive = await make_limiter(lease_seconds=0.4)
    # What is not held by anybody is not renewed, as if its router had been killed.
    began = time.monotonic()
    del held
    await first_verdict(alive, limits, admitted=True)
    assert time.monotonic() - began < 5


async def test_slots_of_long_streams_are_renewed(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter(lease_seconds=1.5)
    limits = Limits(concurrency=1)
    [held] = await storm([limiter], limits, 1)
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        assert not (await limiter.admit(KEY, limits, PROJECT, None, 0)).admitted
        await asyncio.sleep(0.05)
    assert held.lease is not None
    held.lease.settle(None)


async def test_a_key_and_its_project_both_have_to_have_room(
    make_limiter: MakeLimiter, valkey: ValkeyServer
) -> None:
    limiter = await make_limiter()
    wide, narrow = Limits(requests_per_minute=100, concurrency=50), Limits(requests_per_minute=4)
    verdicts = [await limiter.admit(KEY, wide, PROJECT, narrow, 0) for _ in range(6)]
    assert admitted(verdicts) == 4
    assert verdicts[-1].refused_by == "project.requests_per_minute"
    assert dict(verdicts[0].headers)[b"x-ratelimit-limit-requests"] == b"4"
    # What the project refused was not counted for the key either.
    with valkey.client() as client:
        assert client.zcard(f"hostler:limits:{{{PROJECT}}}:key:{KEY}:slots") == 4


async def test_after_flushall_one_more_minute_is_let_through_at_most(
    make_limiter: MakeLimiter, valkey: ValkeyServer
) -> None:
    limiters = [await make_limiter(), await make_limiter()]
    before = admitted(await storm(limiters, RPM, 30))
    with valkey.client() as client:
        client.flushall()
    after = admitted(await storm(limiters, RPM, 30))
    assert (before, after) == (10, 10)


async def test_slots_that_flushall_took_come_back_with_their_renewal(
    make_limiter: MakeLimiter, valkey: ValkeyServer
) -> None:
    limiter = await make_limiter(lease_seconds=1.5)
    limits = Limits(concurrency=3)
    held = await storm([limiter], limits, 3)
    name = f"hostler:limits:{{{PROJECT}}}:key:{KEY}:slots"
    with valkey.client() as client:
        client.flushall()
        await eventually(lambda: client.zcard(name) == 3)
    assert not (await limiter.admit(KEY, limits, PROJECT, None, 0)).admitted
    assert admitted(held) == 3


async def test_every_key_in_valkey_has_a_lifetime(make_limiter: MakeLimiter, valkey: ValkeyServer) -> None:
    limiter = await make_limiter()
    limits = Limits(10, 1000, 5)
    verdicts = [await limiter.admit(KEY, limits, PROJECT, limits, 50) for _ in range(3)]
    with valkey.client() as client:
        lifetimes = {name: client.pttl(name) for name in client.scan_iter("*")}
    assert len(lifetimes) == 4
    assert all(0 < each <= 120_000 for each in lifetimes.values()), lifetimes
    assert admitted(verdicts) == 3


async def test_a_verdict_that_nobody_waits_for_any_more_gives_its_slot_back(
    make_limiter: MakeLimiter,
) -> None:
    limiter = await make_limiter()
    limits = Limits(concurrency=1)
    asking = asyncio.ensure_future(limiter.admit(KEY, limits, PROJECT, None, 0))
    await asyncio.sleep(0)
    asking.cancel()
    await first_verdict(limiter, limits, admitted=True)


async def test_without_limits_nobody_is_asked(make_limiter: MakeLimiter) -> None:
    limiter = await make_limiter()
    verdict = await limiter.admit(KEY, None, PROJECT, Limits(), 10**9)
    assert (verdict.admitted, verdict.headers, verdict.lease) == (True, (), None)
    assert limiter.counts.by_store + limiter.counts.by_share == 0
