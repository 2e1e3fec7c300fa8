"""How long what is kept, and how finely: 10 seconds for 6 hours, a minute for 7 days, an hour for 90 days.

Slots of one job lie in chunks, many to a key of the store, because a key of its own costs several times what a slot does.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Resolution:
    """One way to divide time.

    Attributes:
        name: In the keys of the store.
        slot_seconds: Length of a slot.
        kept_seconds: For so long.
        slots_per_chunk: How many lie together.
    """

    name: str
    slot_seconds: int
    kept_seconds: int
    slots_per_chunk: int

    def slot(self, at_ms: int) -> int:
        """Number of the slot that holds this moment, counted from 1970."""
        return at_ms // (self.slot_seconds * 1000)

    @property
    def chunk_ttl_seconds(self) -> int:
        """How long a chunk is to live after a write to it."""
        return self.kept_seconds + self.slot_seconds * self.slots_per_chunk


FINE: Final = Resolution("10s", 10, 6 * 3600, 360)
MINUTE: Final = Resolution("1m", 60, 7 * 24 * 3600, 360)
HOUR: Final = Resolution("1h", 3600, 90 * 24 * 3600, 168)

RESOLUTIONS: Final = (FINE, MINUTE, HOUR)
"""Finest first."""


def resolution_for(*, start_ms: int, now_ms: int) -> Resolution:
    """The finest resolution that reaches back to the start; the coarsest where none does, which then has the end of that time.

    Never a coarser one because the samples are long: a slot that a sample cuts in two counts by its share, which is a guess,
    and so it should be short.
    """
    reaching = (each for each in RESOLUTIONS if now_ms - start_ms <= each.kept_seconds * 1000)
    return next(reaching, RESOLUTIONS[-1])
