"""Deadlines of requests that nearly all end long before them: looked at together now and then, instead of each at its time.

For whoever is asked no later than one period after it began. To begin and to end costs a third of what it does in the timer wheel,
on which this lies itself, and to which it leaves those that have to be asked before its next look.

Times are monotonic seconds.
"""

from collections.abc import Callable

from hostler_router.timer_wheel import Timed, TimerWheel


class Looks:
    """What is looked at each period."""

    __slots__ = ("_armed", "_items", "_now", "_period_seconds", "_wheel")

    def __init__(self, wheel: TimerWheel, period_seconds: float, now: Callable[[], float]) -> None:
        """Look at nothing yet; the other arguments are the router's wheel and its clock."""
        self._wheel = wheel
        self._period_seconds = period_seconds
        self._now = now
        self._items: set[Timed] = set()
        self._armed = False

    def __contains__(self, item: Timed) -> bool:
        return item in self._items or item in self._wheel

    def begin(self, item: Timed) -> None:
        """Ask it within a period, and then at the times that it names."""
        self._items.add(item)
        if not self._armed:
            self._armed = True
            self._wheel.arm(self, self._now() + self._period_seconds)

    def end(self, item: Timed) -> None:
        """Don't ask it any more; nothing happens if it isn't asked."""
        items = self._items
        if item in items:
            items.remove(item)
        else:
            self._wheel.disarm(item)

    def due_again(self, now: float) -> float | None:
        """Look at all; gives when to look again, or None where there is nothing left."""
        following = now + self._period_seconds
        items = self._items
        for item in tuple(items):
            if item not in items:
                continue  # another one has ended it
            try:
                again = item.due_again(now)
            except BaseException:
                items.discard(item)
                self._wheel.arm(self, now)  # the others are looked at in its next turn
                raise
            if again is None or item not in items:
                items.discard(item)
            elif again < following:
                items.remove(item)
                self._wheel.arm(item, again)
        self._armed = bool(items)
        return following if self._armed else None
