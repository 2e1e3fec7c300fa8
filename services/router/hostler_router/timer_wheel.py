"""All deadlines of a router in one place, without a handle of the event loop for each.

A wheel of slots, each one tick long; an item lies in the slot of its time, and one that is further away than a whole turn is
passed over until its turn comes. The shell calls `advance` once a tick. An item is asked when its time has come and may name
a later one, so a deadline that moves with every piece of a stream costs an assignment in the item and nothing here.

Times are monotonic seconds.
"""

from math import ceil, inf
from typing import Final, Protocol


class Timed(Protocol):
    """What can be armed; it is told apart by identity, or by its own `__hash__` and `__eq__`."""

    def due_again(self, now: float, /) -> float | None:
        """Its time has come: act, and give the next time, or None to be forgotten."""
        ...

    def __hash__(self) -> int: ...


class TimerWheel:
    """Items by the tick at which they are due."""

    __slots__ = ("_advanced", "_earliest", "_places", "_slots", "tick_seconds")

    def __init__(self, tick_seconds: float = 0.05, slots: int = 512) -> None:
        """Make an empty wheel.

        Args:
            tick_seconds: How late an item may be asked.
            slots: Ticks in one turn; a longer turn passes over far-away items less often.
        """
        self.tick_seconds: Final = tick_seconds
        self._slots: list[dict[Timed, float]] = [{} for _ in range(slots)]
        self._places: dict[Timed, dict[Timed, float]] = {}
        self._advanced = -1
        """The last tick whose slot has been looked through."""
        self._earliest = 0
        """No item goes into a slot before this tick's, since it would be missed for a whole turn."""

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, item: Timed) -> bool:
        return item in self._places

    def arm(self, item: Timed, due: float) -> None:
        """Ask the item at `due`, and no more at the time it was armed for before; infinity means never."""
        places = self._places
        if item in places:
            del places.pop(item)[item]
        if due == inf:
            return
        tick = ceil(due / self.tick_seconds)
        if tick < self._earliest:
            tick = self._earliest
        slots = self._slots
        slot = slots[tick % len(slots)]
        slot[item] = due
        places[item] = slot

    def disarm(self, item: Timed) -> None:
        """Don't ask the item; nothing happens if it isn't armed."""
        slot = self._places.pop(item, None)
        if slot is not None:
            del slot[item]

    def advance(self, now: float) -> None:
        """Ask every item whose time has come.

        An item may arm and disarm any, itself too. One that raises is forgotten, and what it raised ends the call; the others
        are asked at the next one.
        """
        present = int(now / self.tick_seconds)
        if present <= self._advanced:
            return
        slots = self._slots
        self._earliest = present + 1
        for tick in range(max(self._advanced + 1, present - len(slots) + 1), present + 1):
            slot = slots[tick % len(slots)]
            if slot:
                self._look_through(slot, now)
        # Only now, so that after an item has raised the others are looked for again.
        self._advanced = present

    def _look_through(self, slot: dict[Timed, float], now: float) -> None:
        for item, due in list(slot.items()):
            if slot.get(item) != due:
                continue  # Another item has disarmed it, or armed it anew.
            if due > now:
                # Nearly always it is a turn or more away and stays here. Where rounding put it a tick too early it moves on.
                if due - now < self.tick_seconds:
                    self.arm(item, due)
                continue
            self.disarm(item)
            again = item.due_again(now)
            if again is not None:
                self.arm(item, again)
