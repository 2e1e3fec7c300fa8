"""Where a simulated fleet lives: on the loop's own time with the bus in memory, or in real time on a real NATS.

The script, the faults, the services and the judge are the same in both. What the bus in memory promises is thereby held against
the server that it stands for.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.nats_bus import connect
from hostler_bus.port import Bus
from hostler_kit.clock import Clock, SystemClock
from tests.support.builders import NOW
from tests.support.nats_server import NatsServer


class World(Protocol):
    """A clock and a bus.

    Attributes:
        clock: Its time.
        pace: How long what the script calls a second takes.
        virtual: Whether its time costs nothing.
    """

    clock: Clock
    pace: float
    virtual: bool

    async def connect(self) -> Bus:
        """A connection of one service."""
        ...


class LoopClock:
    """The event loop's time, which is virtual on `looptime`'s loop."""

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class InMemory:
    """For a loop with virtual time: an hour takes as long as its events do, and a seed always gives the same history."""

    pace = 1.0
    virtual = True

    def __init__(self) -> None:
        self.clock: Clock = LoopClock()
        self._server = MemoryServer(self.clock)

    async def connect(self) -> Bus:
        return MemoryBus(self._server)


class OnNats:
    """In real time, ten times as fast as the script says; the order of events is the machine's."""

    pace = 0.1
    virtual = False

    def __init__(self, server: NatsServer) -> None:
        self.clock: Clock = SystemClock()
        self._server = server

    async def connect(self) -> Bus:
        return await connect(
            self._server.url, user=self._server.user, password=self._server.password, name="simulation"
        )
