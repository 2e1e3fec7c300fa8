"""A holder whose bus lets it down, on a clock of its own."""

import asyncio

import pytest

from hostler_bus.errors import BusUnavailable
from hostler_bus.kv import StoredBucket
from hostler_bus.leases import Lease, hold
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import APPEND_DEADLINE_SECONDS
from hostler_contracts.subjects import BUCKET_LEASES
from tests.support.manual_clock import ManualClock, settle

NAME = "scheduler"
TTL = 6


class FaultyBus(MemoryBus):
    """Loses the renewals, or only their answers."""

    lose_request = False
    lose_answer = False

    def bucket(self, name: str) -> StoredBucket:
        return FaultyBucket(self, name)


class FaultyBucket(StoredBucket):
    def __init__(self, bus: FaultyBus, name: str) -> None:
        super().__init__(bus, name)
        self._bus = bus

    async def update(
        self,
        key: str,
        value: bytes,
        *,
        revision: int,
        ttl_seconds: int | None = None,
        deadline_seconds: float = APPEND_DEADLINE_SECONDS,
    ) -> int:
        if self._bus.lose_request:
            raise BusUnavailable("lost on the way there")
        updated = await super().update(
            key, value, revision=revision, ttl_seconds=ttl_seconds, deadline_seconds=deadline_seconds
        )
        if self._bus.lose_answer:
            raise BusUnavailable("lost on the way back")
        return updated


def holds(lease: Lease) -> bool:
    """Asked anew each time: a type checker takes an attribute for unchanged between two looks."""
    return lease.held


@pytest.fixture
def server(manual_clock: ManualClock) -> MemoryServer:
    return MemoryServer(manual_clock)


async def test_it_is_not_held_any_more_once_the_time_is_up_without_a_renewal(
    server: MemoryServer, manual_clock: ManualClock
) -> None:
    bus = FaultyBus(server)
    async with hold(bus, NAME, holder="one", ttl_seconds=TTL, clock=manual_clock) as lease:
        await settle()
        assert holds(lease)
        bus.lose_request = True
        change = asyncio.ensure_future(lease.changed())
        await manual_clock.advance(TTL - 0.5)
        assert holds(lease)
        assert not change.done()
        await manual_clock.advance(0.5)
        assert not holds(lease)
        assert await change is False
        bus.lose_request = False
        await manual_clock.advance(TTL)
        assert holds(lease)


async def test_it_stays_held_where_only_the_answer_to_a_renewal_was_lost(
    server: MemoryServer, manual_clock: ManualClock
) -> None:
    bus = FaultyBus(server)
    async with hold(bus, NAME, holder="one", ttl_seconds=TTL, clock=manual_clock) as lease:
        await settle()
        bus.lose_answer = True
        await manual_clock.advance(TTL / 3)
        bus.lose_answer = False
        for _ in range(20):
            await manual_clock.advance(TTL / 6)
            assert holds(lease)


async def test_a_process_that_was_frozen_knows_at_once_that_it_lost(
    server: MemoryServer, manual_clock: ManualClock
) -> None:
    frozen_clock = ManualClock()  # its own time jumps when it wakes up, before anything of it runs
    async with hold(MemoryBus(server), NAME, holder="frozen", ttl_seconds=TTL, clock=frozen_clock) as frozen:
        await settle()
        assert holds(frozen)
        await manual_clock.advance(TTL + 1)
        async with hold(MemoryBus(server), NAME, holder="two", ttl_seconds=TTL, clock=manual_clock) as two:
            await settle()
            assert holds(two)
            frozen_clock.jump(60)
            assert not holds(frozen)
            await frozen_clock.advance(1)
            assert (holds(frozen), holds(two)) == (False, True)


async def test_of_five_candidates_one_holds_at_any_time(
    server: MemoryServer, manual_clock: ManualClock
) -> None:
    leases = [
        hold(MemoryBus(server), NAME, holder=f"c{number}", ttl_seconds=TTL, clock=manual_clock)
        for number in range(5)
    ]
    held = [await lease.__aenter__() for lease in leases]
    for _ in range(10):
        await manual_clock.advance(TTL / 2)
        assert sum(lease.held for lease in held) == 1
    for lease in leases:
        await lease.__aexit__(None, None, None)
    assert await MemoryBus(server).bucket(BUCKET_LEASES).keys() == ()


async def test_a_bug_in_the_campaign_reaches_whoever_waits(
    server: MemoryServer, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: object, **_more: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(StoredBucket, "create", broken)
    async with hold(MemoryBus(server), NAME, holder="one", ttl_seconds=TTL, clock=manual_clock) as lease:
        with pytest.raises(ZeroDivisionError):
            await lease.changed()
