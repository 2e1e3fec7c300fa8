"""How long to wait before giving replicas back, learned from regrets: a job that was scaled up again soon after it was scaled down waits longer.

A replica given back too early costs a cold start when it is missed; so the wait is never shorter than one.
"""

from dataclasses import dataclass, replace
from math import log2

MILD_LEVEL_MAX = 2.0
"""Four times the configured window after mild regrets: one replica more or less."""
HOLD_SECONDS_MAX = 1800.0
"""After a surge the window becomes so long. A request that is late is worth ten that replicas could have served, so to hold what a surge of
every half hour needs costs less than to be late for it."""
JUDGED_SECONDS_MAX = 600.0
"""Where a latency tells what each return of load has cost, `holding` weighs it against hours, and regrets lengthen no window beyond this."""
REGRET_SECONDS = 3600.0
"""A surge so soon after a scale-down is a regret."""
LEVEL_SECONDS = 7200.0
"""One level is forgotten in two hours without regret."""
REGRET_COLD_STARTS = 2.0


SURGE_LEVEL = 1.0
"""After a first surge: twice the window, since bursts come in trains."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How much longer than configured the window is (`2 ** level`), since when, and when the number last went down."""

    level: float = 0.0
    at: float = 0.0
    down_at: float | None = None
    regretted: bool = True

    def window_seconds(self, now: float, configured: float, *, most: float = HOLD_SECONDS_MAX) -> float:
        """The window, now; regrets make it no longer than `most`."""
        return min(configured * 2 ** self._left(now), max(most, configured))

    def _left(self, now: float) -> float:
        return max(self.level - (now - self.at) / LEVEL_SECONDS, 0.0)

    def went_down(self, now: float) -> "Backoff":
        """After a scale-down."""
        return replace(self, down_at=now, regretted=False)

    def went_up(
        self,
        now: float,
        *,
        configured: float,
        cold_start_seconds: float,
        surge: bool,
        leeway_seconds: float = 0.0,
    ) -> "Backoff":
        """After a scale-up for load: a regret if it follows soon after a scale-down, a small one once per scale-down.

        | a surge | since the scale-down                  | level                 |
        | ------- | ------------------------------------- | --------------------- |
        | no      | within the window and two cold starts | one more, at most two |
        | no      | longer                                | as it was             |
        | yes     | within an hour                        | half an hour's hold   |
        | yes     | longer, or there was none             | at least one          |

        `leeway_seconds` is added to the window and the cold starts: how long it may take to be noticed that load is back.
        """
        if configured <= 0:
            return self
        left = self._left(now)
        since = REGRET_SECONDS + 1 if self.down_at is None else now - self.down_at
        if surge:
            hold = log2(max(HOLD_SECONDS_MAX / configured, 1.0))
            level = max(left, hold if since <= REGRET_SECONDS else SURGE_LEVEL)
        elif (
            not self.regretted
            and since
            <= self.window_seconds(now, configured) + REGRET_COLD_STARTS * cold_start_seconds + leeway_seconds
        ):
            level = max(left, min(left + 1, MILD_LEVEL_MAX))
        else:
            return self
        return Backoff(round(level, 3), now, self.down_at, regretted=True)
