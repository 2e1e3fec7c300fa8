"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 1, 1, tzinfo=UTC)

_TURNS = 50
"""Rounds of the event loop in which what was woken may run before time moves on; a promise of a test, not of the code."""


class ManualClock:
    """Fits `hostler_kit.clock.Clock`; `advance` wakes the sleepers in the order of their times."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken

    def jump(self, seconds: float) -> None:
        """Let `seconds` pass without waking anyone, as in a process that was frozen."""
        self._elapsed += seconds

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, stopping at every sleeper's moment on the way."""
        await settle()
        until = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            when, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, when)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._elapsed = until
        await settle()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
