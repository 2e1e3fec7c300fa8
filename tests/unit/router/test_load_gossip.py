"""Routers tell each other what they have, on the bus in memory and by a clock that the test turns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from random import Random

import pytest
import structlog

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_contracts import subjects
from hostler_contracts.router_load import UndecodableLoad, decode_load
from hostler_router.balance import pick
from hostler_router.load_gossip import LoadGossip
from hostler_router.outstanding import Outstanding
from hostler_router.peer_loads import KEPT_SECONDS, PeerLoads
from hostler_router.table import Endpoint
from tests.support.manual_clock import ManualClock

PERIOD_SECONDS = 0.15
BOTH = (Endpoint("a", "http://a"), Endpoint("b", "http://b"))


class CountingBus(MemoryBus):
    """A bus that counts what is published."""

    published = 0

    async def publish(self, subject: str, data: bytes) -> None:
        await super().publish(subject, data)
        self.published += 1


class Node:
    """One router's part in it."""

    def __init__(self, server: MemoryServer, clock: ManualClock, name: str, *, period_seconds: float) -> None:
        self.bus = CountingBus(server)
        self.outstanding = Outstanding()
        self.peers = PeerLoads()
        self.gossip = LoadGossip(
            self.bus,
            self.outstanding,
            self.peers,
            name=name,
            life="1",
            period_seconds=period_seconds,
            routers=lambda: 2,
            clock=clock,
            logger=structlog.get_logger(),
        )


class World:
    """Some routers on one server."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.clock = ManualClock()
        self._server = MemoryServer(self.clock)
        self._stack = stack

    async def node(self, name: str, *, period_seconds: float = PERIOD_SECONDS) -> Node:
        made = Node(self._server, self.clock, name, period_seconds=period_seconds)
        running = asyncio.create_task(made.gossip.run())

        async def end() -> None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

        self._stack.push_async_callback(end)
        await self.clock.advance(PERIOD_SECONDS)
        return made

    async def settle(self) -> None:
        """Until the averages are what is the case."""
        for _ in range(20):
            await self.clock.advance(PERIOD_SECONDS)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)


async def test_what_one_has_the_other_knows_a_little_later_and_in_full_before_long(world: World) -> None:
    first, second = await world.node("w1"), await world.node("w2")
    hold = first.outstanding.begin("a", 2.5)
    await world.clock.advance(PERIOD_SECONDS)
    assert 0 < second.peers.counts["a"] < 1
    await world.settle()
    assert (second.peers.counts, second.peers.work) == ({"a": 1}, {"a": 2.5})
    assert first.peers.counts == {}, "nobody counts its own twice"
    hold.end()
    await world.settle()
    assert second.peers.counts == {}


async def test_while_nothing_changes_it_is_said_once_a_second_and_still_holds(world: World) -> None:
    first, second = await world.node("w1"), await world.node("w2")
    first.outstanding.begin("a")
    await world.settle()
    before = first.bus.published
    for _ in range(100):
        await world.clock.advance(PERIOD_SECONDS)
    assert second.peers.counts == {"a": 1}
    assert 10 <= first.bus.published - before <= 15


async def test_one_that_died_is_forgotten_and_one_that_stopped_at_once(world: World) -> None:
    died, stopped, second = await world.node("w1"), await world.node("w2"), await world.node("w3")
    died.outstanding.begin("a")
    hold = stopped.outstanding.begin("b")
    await world.settle()
    assert second.peers.counts == {"a": 1, "b": 1}
    hold.end()
    await stopped.gossip.close()
    await died.bus.drain()
    await world.clock.advance(PERIOD_SECONDS)
    assert second.peers.counts == {"a": 1}
    for _ in range(int(KEPT_SECONDS / PERIOD_SECONDS) + 2):
        await world.clock.advance(PERIOD_SECONDS)
    assert second.peers.counts == {}


async def test_one_that_is_switched_off_says_and_hears_nothing(world: World) -> None:
    first, second = await world.node("w1"), await world.node("w2", period_seconds=0)
    first.outstanding.begin("a")
    second.outstanding.begin("b")
    await world.clock.advance(2.0)
    assert (first.peers.counts, second.peers.counts, second.bus.published) == ({}, {}, 0)


async def test_what_is_no_load_changes_nothing(world: World) -> None:
    first, second = await world.node("w1"), await world.node("w2")
    await first.bus.publish(subjects.ROUTERS_LOAD, b"nonsense")
    await world.clock.advance(PERIOD_SECONDS)
    first.outstanding.begin("a")
    await world.settle()
    assert second.peers.counts == {"a": 1}


@pytest.mark.parametrize("each", ["[-1,1.0]", "[0,1.0]", "[1,-0.5]", "[1,1e99]", "[1e99,1]", "[1]"])
def test_numbers_that_can_not_be_are_refused(each: str) -> None:
    with pytest.raises(UndecodableLoad):
        decode_load(f'{{"router":"w1","life":"1","number":1,"replicas":{{"a":{each}}}}}'.encode())


@pytest.mark.parametrize("choices", [0, 2])
def test_a_replica_that_others_keep_busy_is_not_picked_though_this_router_has_nothing_on_it(
    choices: int,
) -> None:
    picked = pick(BOTH, outstanding={"b": 1}, elsewhere={"a": 2}, choices=choices, rng=Random(1))
    assert picked == BOTH[1]


def test_what_others_have_does_not_count_towards_a_routers_own_bound() -> None:
    picked = pick(BOTH, outstanding={"a": 0}, elsewhere={"a": 9, "b": 99}, bound=2, rng=Random(1))
    assert picked == BOTH[0]


def test_the_bound_of_load_of_an_affinity_counts_what_others_have() -> None:
    alone = pick(BOTH, outstanding={}, affinity=b"key", rng=Random(1))
    assert alone is not None
    other = next(each for each in BOTH if each is not alone)
    assert (
        pick(BOTH, outstanding={}, elsewhere={alone.replica_id: 9}, affinity=b"key", rng=Random(1)) == other
    )
