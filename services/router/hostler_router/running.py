"""The requests under way in this process, so that a stop can wait for them and end what is left.

Each request enters itself here; the service asks when it stops.
"""

import asyncio
from typing import Protocol


class UnderWay(Protocol):
    """A request."""

    def cut(self) -> None:
        """End now, with an error that says why."""


class Running:
    """Requests under way.

    Attributes:
        closed: Nothing may begin any more.
    """

    def __init__(self) -> None:
        self._requests: set[UnderWay] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._requests)

    def enter(self, request: UnderWay) -> None:
        """It has begun."""
        if not self._requests:
            self._idle.clear()
        self._requests.add(request)

    def leave(self, request: UnderWay) -> None:
        """It is over."""
        self._requests.discard(request)
        if not self._requests:
            self._idle.set()

    async def wait_idle(self, timeout_seconds: float) -> bool:
        """Wait until there are none; gives whether that came in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def cut(self) -> int:
        """End every request and let none begin. Gives their number."""
        self.closed = True
        under_way = tuple(self._requests)
        for request in under_way:
            request.cut()
        return len(under_way)
