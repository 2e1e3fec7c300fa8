"""What connections write: at once while there is little of it, and else at the end of each turn of the event loop.

A system call for each write wakes its reader each time, which on a busy router costs up to a fifth of a request: the reader has slept again until
the next one comes. Sent together, one write wakes it for all. A lone write would only be delayed by that, so nothing waits until writes
follow each other quickly.

Who closes a connection, or asks what is unsent on it, flushes first. One outbox serves all connections of a process, so that what is written
keeps its order.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from hostler_router.wire.busy_poll import BusyPoll

NOT_WAITING: Final = -1
_QUICK_PER_SECOND: Final = 4000
_COUNTED_TOGETHER: Final = 64


class Outbox:
    """Data that is to be sent.

    Attributes:
        turn: How often what waited was sent; tells whether something that was put here still waits.
    """

    __slots__ = ("_busy", "_count", "_now", "_quick", "_since", "_soon", "_waiting", "turn")

    def __init__(
        self,
        soon: Callable[[Callable[[], None]], object],
        now: Callable[[], float],
        *,
        quick: bool = False,
        busy: BusyPoll | None = None,
    ) -> None:
        """Make an empty one.

        Args:
            soon: Calls back when this turn of the event loop is over.
            now: Monotonic seconds.
            quick: Whether writes are taken to follow each other quickly until it is known.
            busy: To be stirred by each write.
        """
        self._soon = soon
        self._now = now
        self._quick = quick
        self._busy = busy
        self._since = now()
        self._count = 0
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self.turn = 0

    def put(self, transport: asyncio.Transport, data: bytes) -> int:
        """Send this, after what was put here before; gives the turn whose end it waits for, or `NOT_WAITING`."""
        self._count += 1
        if self._busy is not None:
            self._busy.stir()
        if self._count == _COUNTED_TOGETHER:
            self._look()
        if not self._quick:
            transport.write(data)
            return NOT_WAITING
        waiting = self._waiting
        waiting.append((transport, data))
        if len(waiting) == 1:
            self._soon(self.flush)
        return self.turn

    def flush(self) -> None:
        """Send all that waits now; what is for a connection that is closing or gone is dropped.

        Where one can't be written to, that is told to who called, and the others get theirs at the end of the next turn.
        """
        waiting, self._waiting = self._waiting, []
        self.turn += 1
        sent = 0
        try:
            for transport, data in waiting:
                sent += 1
                if not transport.is_closing():
                    transport.write(data)
        finally:
            if sent < len(waiting):
                self._waiting = [*waiting[sent:], *self._waiting]
                self._soon(self.flush)

    def _look(self) -> None:
        """See how quickly the writes since the last look have followed each other."""
        now = self._now()
        self._quick = self._count > (now - self._since) * _QUICK_PER_SECOND
        self._since, self._count = now, 0
        if not self._quick and self._waiting:
            self.flush()


def loop_outbox(now: Callable[[], float], *, busy_poll_seconds: float) -> Outbox:
    """An outbox of the running event loop, which does not sleep for so long after a write; 0 lets it sleep."""
    soon = asyncio.get_running_loop().call_soon
    return Outbox(soon, now, busy=BusyPoll(soon, now, busy_poll_seconds) if busy_poll_seconds else None)
