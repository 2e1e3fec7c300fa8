"""Leases on both worlds: one holder, takeover after an end of any kind."""

import asyncio
from contextlib import AsyncExitStack

from hostler_bus.leases import Lease, hold
from hostler_bus.port import Bus
from hostler_contracts.subjects import BUCKET_LEASES
from tests.conformance.bus.conftest import World

NAME = "scheduler"
TTL_SECONDS = 2


async def until_held(world: World, lease: Lease) -> None:
    async with asyncio.timeout(15):
        while not lease.held:
            await world.elapse(0.25)
            await asyncio.sleep(0.01)


async def test_a_free_lease_is_taken_at_once(world: World, bus: Bus) -> None:
    async with hold(bus, NAME, holder="one", ttl_seconds=TTL_SECONDS, clock=world.clock) as lease:
        async with asyncio.timeout(5):
            assert await lease.changed()
        assert lease.held


async def test_a_second_candidate_waits_and_takes_over_when_the_first_gives_back(world: World) -> None:
    first, second = await world.connect(), await world.connect()
    async with AsyncExitStack() as until_the_end:
        async with hold(first, NAME, holder="one", ttl_seconds=60, clock=world.clock) as one:
            await until_held(world, one)
            two = await until_the_end.enter_async_context(
                hold(second, NAME, holder="two", ttl_seconds=60, clock=world.clock)
            )
            await world.elapse(30)
            await asyncio.sleep(0.05)
            assert (one.held, two.held) == (True, False)
        async with asyncio.timeout(5):
            assert await two.changed()
        assert (one.held, two.held) == (False, True)


async def test_a_holder_keeps_the_lease_beyond_its_time_to_live(world: World) -> None:
    first, second = await world.connect(), await world.connect()
    async with (
        hold(first, NAME, holder="one", ttl_seconds=1, clock=world.clock) as one,
        first.bucket(BUCKET_LEASES).watch(NAME) as changes,
    ):
        await until_held(world, one)
        async with hold(second, NAME, holder="two", ttl_seconds=1, clock=world.clock) as two:
            renewals = 0
            async with asyncio.timeout(15):
                while renewals < 6:  # at three to a time to live this is twice as long
                    advancing = asyncio.create_task(world.elapse(0.5))
                    await anext(changes)
                    await advancing
                    renewals += 1
                    assert one.held
                    assert not two.held


async def test_a_holder_that_vanished_is_followed_when_its_time_has_run_out(world: World) -> None:
    first, second = await world.connect(), await world.connect()
    await first.bucket(BUCKET_LEASES).create(NAME, b"vanished", ttl_seconds=TTL_SECONDS)
    async with hold(second, NAME, holder="two", ttl_seconds=TTL_SECONDS, clock=world.clock) as lease:
        await asyncio.sleep(0.05)
        assert not lease.held
        await until_held(world, lease)


async def test_a_lease_that_was_taken_away_is_known_to_be_lost(world: World, bus: Bus) -> None:
    async with hold(bus, NAME, holder="one", ttl_seconds=TTL_SECONDS, clock=world.clock) as lease:
        await until_held(world, lease)
        await bus.bucket(BUCKET_LEASES).put(NAME, b"somebody else", ttl_seconds=60)
        async with asyncio.timeout(15):
            while lease.held:
                await world.elapse(0.25)
                await asyncio.sleep(0.01)
        entry = await bus.bucket(BUCKET_LEASES).get(NAME)
        assert entry is not None
        assert entry.value == b"somebody else"
