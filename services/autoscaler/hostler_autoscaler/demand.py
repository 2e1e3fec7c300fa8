"""How much is asked of a job: the present rate, its noise, and where it will be when a replica asked for now serves.

Means of whole minutes over half an hour are all that is remembered.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

MINUTES_KEPT = 30
TREND_MINUTES = 12
"""Shorter, and noise is a trend; longer, and the turn of the tide is missed."""
TREND_MINUTES_MIN = 5
NOISE_MINUTES_MIN = 4
"""Steps between fewer are too few for a deviation."""
TREND_ERRORS = 2.0
"""Only the part of a slope beyond two standard errors counts: the rest may be chance."""
TREND_SHARE = 0.7
"""Trends end; seven tenths of one is what the public traces kept to, one cold start ahead."""
TREND_GROWTH_MAX = 1.3
"""A forecast asks for no more than this share of the present rate; what comes beyond it, the next forecast will see."""
GAP_SECONDS_MAX = 180.0
NOISE_SHARE = 0.5
"""Of the standard deviation of a minute's rate: the headroom for the noise that was seen."""
SURGE_SECONDS = 20.0
SURGE_ERRORS = 3.0
"""The rate of 20 s replaces that of 60 s when it is so many standard errors above it,"""
SURGE_SHARE = 1.3
"""and so many times as high: what is smaller is over, or seen by the minute, before a replica could come."""
HIGH_SECONDS = 5.0
"""How long the busiest seconds are, by which a job with a short window goes as well."""
SUSTAINED_MINUTES = 5
"""A rate is sustained that lasts about as long as it takes to have a replica."""
SUSTAINED_ERRORS = 2.5
"""A minute so many deviations below the ones before is a fall, and they tell nothing any more."""


@dataclass(frozen=True, slots=True)
class RateHistory:
    """Rates of whole minutes, oldest first, and when the last of them ended."""

    minutes: tuple[float, ...] = ()
    ended_at: float = 0.0

    def with_rate(self, now: float, rate: float) -> "RateHistory":
        """With the mean of the last minute, if one has passed since the last."""
        since = now - self.ended_at
        if since < 60:
            return self
        if since > GAP_SECONDS_MAX:
            # The first minute is not over yet.
            return RateHistory((), round(now, 1))
        brief = float(f"{rate:.4g}")
        return RateHistory((*self.minutes, brief)[-MINUTES_KEPT:], round(now, 1))

    def noise(self) -> float:
        """Standard deviation of a minute's rate about its course, from the steps between minutes; so a trend is no noise."""
        recent = self.minutes[-TREND_MINUTES - 3 :]
        if len(recent) < NOISE_MINUTES_MIN:
            return 0.0
        steps = [(later - earlier) ** 2 for earlier, later in pairwise(recent)]
        return math.sqrt(sum(steps) / len(steps) / 2)

    def sustained(self, rate: float) -> float:
        """The mean of the last minutes, the present one included; the present rate alone once it has fallen, or while little is known."""
        recent = self.minutes[-(SUSTAINED_MINUTES - 1) :]
        if len(recent) < SUSTAINED_MINUTES - 1:
            return rate
        before = sum(recent) / len(recent)
        deviation = max(self.noise(), math.sqrt(max(rate, before) / 60))
        if rate < before - SUSTAINED_ERRORS * deviation:
            return rate
        return (sum(recent) + rate) / (len(recent) + 1)

    def growth_per_second(self) -> float:
        """The sure part of the rate's slope; 0 of a fall, or of what may be chance."""
        recent = self.minutes[-TREND_MINUTES:]
        count = len(recent)
        if count < TREND_MINUTES_MIN:
            return 0.0
        middle, mean = (count - 1) / 2, sum(recent) / count
        squares = sum((index - middle) ** 2 for index in range(count))
        slope = sum((index - middle) * rate for index, rate in enumerate(recent)) / squares
        if slope <= 0:
            return 0.0
        left = sum((rate - mean - slope * (index - middle)) ** 2 for index, rate in enumerate(recent))
        error = math.sqrt(left / max(count - 2, 1) / squares)
        return max(slope - TREND_ERRORS * error, 0.0) / 60


@dataclass(frozen=True, slots=True)
class Demand:
    """The present rate, over how many seconds it is taken, the headroom for its noise, and what of it lasts."""

    rps: float
    seconds: float
    headroom: float
    sustained_rps: float

    @property
    def with_headroom(self) -> float:
        """The rate to be ready for."""
        return self.rps + self.headroom

    @property
    def sustained_error(self) -> float:
        """How much of what lasts may be chance: one standard error of so many independent requests."""
        return math.sqrt(self.sustained_rps / (60 * SUSTAINED_MINUTES))

    @property
    def bare(self) -> str:
        """For sentences."""
        return f"{self.rps:.3g} rps over {self.seconds:.0f} s"

    @property
    def sustained(self) -> str:
        """For sentences, what of it lasts."""
        if self.sustained_rps == self.rps:
            return self.bare
        return f"{self.sustained_rps:.3g} rps over {SUSTAINED_MINUTES} min"

    @property
    def told(self) -> str:
        """Likewise, with the headroom where there is a noticeable one."""
        if self.headroom < 0.005 * self.rps or not self.headroom:
            return self.bare
        return f"{self.rps:.3g} + {self.headroom:.2g} rps over {self.seconds:.0f} s"


def demanded(
    history: RateHistory, rate: float, rate_20: float | None, *, seconds: float, high: float | None = None
) -> Demand:
    """The demand of now, from the rates of the last minute, of which `seconds` are known, and of the last 20 s.

    Where the job goes by the busiest seconds of late, `high`, there is no more than those.
    """
    noise = history.noise()
    present, sustained = present_rate(rate, rate_20, noise), history.sustained(rate)
    headroom = NOISE_SHARE * noise
    told_seconds = seconds if present == rate else min(SURGE_SECONDS, seconds)
    if high is not None:
        if high < present:
            present, told_seconds = high, min(HIGH_SECONDS, seconds)
        headroom, sustained = min(headroom, high - present), min(sustained, high)
    return Demand(present, told_seconds, headroom, sustained)


def present_rate(rate: float, rate_20: float | None, noise: float) -> float:
    """The rate of the last minute, or of its last third when that is surely higher.

    The noise of 20 s is the chance of independent requests or the noise seen between minutes, whichever is larger.
    """
    if rate_20 is None or rate_20 <= rate:
        return rate
    error = max(math.sqrt(max(rate, 0.05) / 20), noise * math.sqrt(3))
    return rate_20 if rate_20 > max(rate + SURGE_ERRORS * error, SURGE_SHARE * rate) else rate


def forecast(history: RateHistory, present: float, seconds: float) -> float:
    """The rate so many seconds ahead, at least the present one."""
    grown = present + TREND_SHARE * history.growth_per_second() * seconds
    return min(grown, max(TREND_GROWTH_MAX * present, present))
