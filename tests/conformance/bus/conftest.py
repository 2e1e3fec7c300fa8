"""The two worlds in which every promise of the bus has to hold."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

import pytest

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.nats_bus import connect
from hostler_bus.port import Bus
from hostler_kit.clock import Clock, SystemClock
from tests.support.manual_clock import ManualClock
from tests.support.nats_server import NatsServer


@dataclass(frozen=True, slots=True)
class World:
    """A server and the ways to it.

    Attributes:
        connect: Makes one more connection; all are drained after the test.
        elapse: Lets time pass where time is ours; does nothing where it passes by itself.
        clock: The time there.
    """

    connect: Callable[[], Awaitable[Bus]]
    elapse: Callable[[float], Coroutine[object, object, None]]
    clock: Clock


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.integration)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    opened: list[Bus] = []
    if request.param == "memory":
        clock = ManualClock()
        memory = MemoryServer(clock)

        async def connect_memory() -> Bus:
            opened.append(MemoryBus(memory))
            return opened[-1]

        yield World(connect_memory, clock.advance, clock)
    else:
        server: NatsServer = request.getfixturevalue("shared_nats_server")
        await server.wipe()

        async def connect_nats() -> Bus:
            bus = await connect(
                server.url, user=server.user, password=server.password, name=f"test-{len(opened)}"
            )
            opened.append(bus)
            return bus

        async def elapse(seconds: float) -> None:
            pass

        yield World(connect_nats, elapse, SystemClock())
    for bus in opened:
        await bus.drain()


@pytest.fixture
async def bus(world: World) -> Bus:
    return await world.connect()
