"""How long to wait before giving replicas back, learned from regrets: a job that was scaled up again soon after it was scaled down waits longer.

A replica given back too early costs a cold start when it is missed; so the wait is never shorter than one.
"""

from dataclasses import dataclass, replace

LEVEL_MAX = 2.0
"""The window is at most four times the configured one."""
LEVEL_SECONDS = 3600.0
"""One level is forgotten in an hour without regret."""
REGRET_COLD_STARTS = 2.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How much longer than configured the window is (`2 ** level`), since when, and when the number last went down and up."""

    level: float = 0.0
    at: float = 0.0
    down_at: float | None = None
    up_at: float | None = None

    def factor(self, now: float) -> float:
        """How many times the window, now."""
        level = self.level - (now - self.at) / LEVEL_SECONDS
        return float(2**level) if level > 0 else 1.0

    def went_down(self, now: float) -> "Backoff":
        """After a scale-down."""
        return replace(self, down_at=now)

    def went_up(self, now: float, *, window_seconds: float, cold_start_seconds: float) -> "Backoff":
        """After a scale-up for load: a regret if it follows soon after a scale-down, once per scale-down."""
        soon = window_seconds + REGRET_COLD_STARTS * cold_start_seconds
        if self.down_at is None or now - self.down_at > soon:
            return replace(self, up_at=now)
        left = max(self.level - (now - self.at) / LEVEL_SECONDS, 0.0)
        return Backoff(min(left + 1, LEVEL_MAX), now, None, now)
