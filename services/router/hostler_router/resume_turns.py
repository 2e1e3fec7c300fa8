"""Which of a job's broken streams another replica may go on with now, and which wait for their turn.

When a replica dies, all of its streams ask the others for the rest at once, each with its whole prompt and all that was said, which is the most
expensive part of a request. So a replica is given few of them at a time; the others wait, the oldest first, while their clients wait with
them. A turn is held until the replica says its first word. Pure; the request asks, one of these for each job.
"""

from collections import OrderedDict
from typing import Final, Protocol

AT_ONCE: Final = 16
"""Streams that one replica may be taking over from others at a time, by the choice of one router process."""


class Waiter(Protocol):
    """A stream that waits for its turn."""

    def on_resume_turn(self) -> None:
        """It has one from now on."""


class ResumeTurns:
    """Turns of one job."""

    __slots__ = ("_held", "_waiting")

    def __init__(self) -> None:
        self._held: set[Waiter] = set()
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()

    @property
    def held(self) -> int:
        """How many have a turn."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def take(self, waiter: Waiter, replicas: int) -> bool:
        """Whether the stream has a turn; if not, it waits for one from now on.

        Args:
            waiter: The stream.
            replicas: How many serve now.
        """
        if waiter in self._held:
            return True
        if waiter not in self._waiting and not self._waiting and self._free(replicas):
            self._held.add(waiter)
            return True
        self._waiting[waiter] = None
        return False

    def leave(self, waiter: Waiter, replicas: int) -> None:
        """The stream needs no turn any more, or never got one; whose turn it is then is told. Again is harmless."""
        self._waiting.pop(waiter, None)
        self._held.discard(waiter)
        while self._waiting and self._free(replicas):
            called, _ = self._waiting.popitem(last=False)
            self._held.add(called)
            called.on_resume_turn()

    def _free(self, replicas: int) -> bool:
        return len(self._held) < AT_ONCE * max(replicas, 1)
