"""Tells failed boots from what a simulator shows: which replicas start, and how many serve. `adapter` asks at each look.

A replica that starts no more either serves or will not come. One that was taken back is neither, so a look after a scale-down judges nothing.
"""

from collections import deque
from collections.abc import Sequence

LAUNCHES_MAX = 20
"""How many of the last launches count, as in the service."""
SAME_SECONDS = 0.01
"""Two looks tell the launch of the same replica by its age, so it differs by rounding."""


class Boots:
    """The last launches that came to an end."""

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=LAUNCHES_MAX)
        self._begun: tuple[float, ...] = ()
        self._ready = 0

    @property
    def failed(self) -> int:
        """How many came to nothing."""
        return self._outcomes.count(False)

    @property
    def launches(self) -> int:
        """How many came to an end."""
        return len(self._outcomes)

    def seen(self, now: float, ready: int, ages: Sequence[float], *, lowered: bool) -> None:
        """A look; `lowered` if fewer replicas are wanted since the last one than before."""
        begun = tuple(now - age for age in ages)
        ended = sum(not _among(begin, begun) for begin in self._begun)
        came = min(max(ready - self._ready, 0), ended)
        if not lowered:
            self._outcomes.extend([True] * came + [False] * (ended - came))
        self._begun, self._ready = begun, ready


def _among(begin: float, others: Sequence[float]) -> bool:
    return any(abs(begin - other) <= SAME_SECONDS for other in others)
