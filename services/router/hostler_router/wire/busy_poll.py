"""Looks for the next event without sleeping, for a moment after something was written.

A process that sleeps until its sockets have something has to be woken, and its core as well where that slept too. On a virtual machine the
second may take 50 us and more, and a proxied request is waited for twice. Whoever looks again at once is awake already, and takes a whole
core for it. Linux has the same for single sockets, HAProxy for its poller; both are off by default, as this is.
"""

from collections.abc import Callable


class BusyPoll:
    """Keeps the event loop from sleeping."""

    __slots__ = ("_awake", "_now", "_seconds", "_soon", "_stirred", "_until")

    def __init__(
        self, soon: Callable[[Callable[[], None]], object], now: Callable[[], float], seconds: float
    ) -> None:
        """Sleep until something happens.

        Args:
            soon: Calls back when this turn of the event loop is over, which does not sleep before.
            now: Monotonic seconds.
            seconds: How long to look for the next event.
        """
        self._soon = soon
        self._now = now
        self._seconds = seconds
        self._awake = False
        self._stirred = False
        self._until = 0.0

    def stir(self) -> None:
        """Something was written: what it leads to will be here soon."""
        self._stirred = True
        if not self._awake:
            self._awake = True
            self._soon(self._look)

    def _look(self) -> None:
        """A turn of the loop is over."""
        now = self._now()
        if self._stirred:
            self._stirred = False
            self._until = now + self._seconds
        if now < self._until:
            self._soon(self._look)
        else:
            self._awake = False
