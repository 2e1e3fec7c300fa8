"""Bursts that were over before help could come: counted, because nothing but more warm replicas serves them."""

from dataclasses import dataclass

BURST_COLD_STARTS = 1.5
"""A burst is seen to be over a rate's minute after its end; so those a little longer than a cold start are still counted as shorter."""
FORGOTTEN_SECONDS = 43_200.0
"""Half of the bursts are forgotten in half a day."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """How many there were lately, how many replicas they needed, and the surge that may become one.

    Attributes:
        count: Fading.
        replicas: The most that one of them needed.
        at: When `count` was last changed.
        surge_at: When the present surge began; None while there is none.
        surge_from: How many replicas there were then.
        surge_need: The most that it has needed.
    """

    count: float = 0.0
    replicas: int = 0
    at: float = 0.0
    surge_at: float | None = None
    surge_from: int = 0
    surge_need: int = 0

    def counted(self, now: float) -> float:
        """How many, with the old ones faded."""
        return float(self.count * 0.5 ** ((now - self.at) / FORGOTTEN_SECONDS)) if self.count else 0.0

    def seen(
        self, now: float, *, surges: bool, desired: int, needed: int, cold_start_seconds: float
    ) -> "Bursts":
        """After a look: a surge begins, goes on, turns out to last, or was a burst."""
        if self.surge_at is None:
            if not surges:
                return self
            return Bursts(self.count, self.replicas, self.at, now, desired, needed)
        if now - self.surge_at > BURST_COLD_STARTS * cold_start_seconds:
            return Bursts(self.count, self.replicas, self.at)
        most = max(self.surge_need, needed)
        if needed > self.surge_from:
            return Bursts(self.count, self.replicas, self.at, self.surge_at, self.surge_from, most)
        replicas = max(self.replicas if self.counted(now) >= 1 else 0, most)
        return Bursts(round(self.counted(now) + 1, 3), replicas, now)
