"""The requests under way in this process, so that a stop can wait for them and end what is left.

The inference handler enters each request here; the service asks when it stops.
"""

import asyncio

from hostler_router.exchange import Exchange, Outcome


class Running:
    """Requests under way, each with the task that works on it.

    Attributes:
        closed: Nothing may begin any more.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Exchange] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def enter(self, task: asyncio.Task[None], exchange: Exchange) -> None:
        """`task` works on a request."""
        self._tasks[task] = exchange
        self._idle.clear()

    def leave(self, task: asyncio.Task[None]) -> None:
        """It does not any more."""
        self._tasks.pop(task, None)
        if not self._tasks:
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
        """Stop the work on every request and let none begin; its handler tells the client why. Gives their number."""
        self.closed = True
        under_way = {task: exchange for task, exchange in self._tasks.items() if not task.done()}
        for task, exchange in under_way.items():
            exchange.outcome = Outcome.CUT
            task.cancel()
        return len(under_way)
