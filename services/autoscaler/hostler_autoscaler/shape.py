"""The content of a job's requests, apart from the speed of its replicas: how long requests are, in units, and how they spread.

Latency by milliseconds per unit says how many units a request has. Their spread is taken as log-normal, from the median and the 95th
percentile; it tells what share of the requests ends in time at any speed.
"""

import math
from dataclasses import dataclass

MEMORY_COMPLETIONS = 2000.0
"""Requests that a mean remembers: a percentile of fewer is chance."""
MEMORY_SECONDS = 1800.0
"""And no longer than this, so that it follows answers that become longer."""
SPREAD_MIN = 0.1
"""Of the logarithm; a median equal to the 95th percentile is a matter of few requests."""
NORMAL_95 = 1.6449


@dataclass(frozen=True, slots=True)
class Shape:
    """Units per request: mean, median, 95th percentile; and how many requests that rests on."""

    mean: float
    p50: float
    p95: float
    weight: float

    def in_time(self, unit_ms: float, target_ms: float) -> float:
        """Share of requests that end within the target at this speed."""
        spread = (
            max(math.log(self.p95 / self.p50) / NORMAL_95, SPREAD_MIN) if self.p95 > self.p50 else SPREAD_MIN
        )
        centre = self.p95 * math.exp(-NORMAL_95 * spread)
        return 0.5 * (1 + math.erf(math.log(target_ms / (centre * unit_ms)) / (spread * math.sqrt(2))))


def updated(
    shape: Shape | None, *, mean: float, p50: float, p95: float, completions: float, seconds: float
) -> Shape:
    """The shape after `completions` more requests, `seconds` after the last."""
    if shape is None:
        return Shape(mean, p50, p95, min(completions, MEMORY_COMPLETIONS))
    old = min(shape.weight, MEMORY_COMPLETIONS) * 0.5 ** (seconds / (MEMORY_SECONDS / 2))
    share = completions / (old + completions)
    return Shape(
        _mixed(shape.mean, mean, share),
        _mixed(shape.p50, p50, share),
        _mixed(shape.p95, p95, share),
        round(old + completions, 1),
    )


def _mixed(old: float, new: float, share: float) -> float:
    return float(f"{old + (new - old) * share:.5g}")
