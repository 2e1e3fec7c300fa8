"""What a replica's answers cost, learned: milliseconds per token as a line over the requests that it has at a time.

A replica that batches continuously makes a token for all its requests in `alpha + beta * x` milliseconds when it has x of them. The line
tells what a replica carries at a wanted speed, also for loads that are not there at the moment. Content does not move it: longer answers
are more tokens, not slower ones. So what was learned in the calm of the night is kept for the day: samples are kept as means by level of
x, and each level is only renewed by samples of that level.

Where the runtime tells no tokens, the unit is a second of audio, or the whole request; `sensing` chooses.
"""

import math
from dataclasses import dataclass

LEVEL_RATIO = 1.25
"""Levels of x are this far apart: a sample within a quarter of another tells the same."""
LEVEL_WEIGHT_MAX = 20.0
"""Samples that a level remembers; ten minutes' worth, so that a level follows an engine that was changed."""
FADE = 0.995
"""What each sample leaves of the weight of the other levels: three hours of others halve it more than once,"""
WEIGHT_KEPT = 1.0
"""but one sample's worth stays, so that a day of load does not forget what calm was like."""
SPAN_MIN = 1.5
"""Highest by lowest x from which on a slope may be believed: over a narrower span noise looks like a slope."""
WEIGHT_MIN = 6.0
"""Samples, three minutes of them, before the line is used at all."""
X_MIN = 0.25
"""Below a quarter of a request per replica a minute holds too few to tell anything."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was seen around one x: mean x, mean milliseconds per unit, and how many samples that rests on."""

    x: float
    unit_ms: float
    weight: float


@dataclass(frozen=True, slots=True)
class Line:
    """Milliseconds per unit at x requests at a time: `alpha + beta * x`; `x_max` is the most that was seen."""

    alpha: float
    beta: float
    x_max: float

    def unit_ms(self, x: float) -> float:
        """At x requests at a time."""
        return self.alpha + self.beta * x


@dataclass(frozen=True, slots=True)
class EngineFit:
    """The levels, by rising x."""

    levels: tuple[Level, ...] = ()

    def with_sample(self, x: float, unit_ms: float, weight: float = 1.0) -> "EngineFit":
        """With one more sample; `weight` is below 1 where few requests tell."""
        if x < X_MIN or unit_ms <= 0 or weight <= 0:
            return self
        number = _level_number(x)
        kept = []
        merged = Level(round(x, 3), _brief(unit_ms), round(weight, 3))
        for level in self.levels:
            if _level_number(level.x) == number:
                old = min(level.weight, LEVEL_WEIGHT_MAX - weight)
                share = weight / (old + weight)
                # The mean may not leave the level, lest two levels become one number.
                merged = Level(
                    round(level.x + (x - level.x) * share, 3),
                    _brief(level.unit_ms + (unit_ms - level.unit_ms) * share),
                    round(old + weight, 3),
                )
            else:
                kept.append(Level(level.x, level.unit_ms, _faded(level.weight)))
        return EngineFit(tuple(sorted((*kept, merged), key=lambda level: level.x)))

    def line(self) -> Line | None:
        """The line through the levels, by least squares of relative errors; None while too little is known."""
        levels = self.levels
        if not levels or sum(level.weight for level in levels) < WEIGHT_MIN:
            return None
        if levels[-1].x < SPAN_MIN * levels[0].x:
            return None
        # Relative errors: a level of 100 ms may be off by ten times what one of 10 ms may.
        sums = [0.0] * 5
        for level in levels:
            weight = level.weight / (level.unit_ms * level.unit_ms)
            sums[0] += weight
            sums[1] += weight * level.x
            sums[2] += weight * level.x * level.x
            sums[3] += weight * level.unit_ms
            sums[4] += weight * level.x * level.unit_ms
        below = sums[0] * sums[2] - sums[1] * sums[1]
        if below <= 0:
            return None
        beta = (sums[0] * sums[4] - sums[1] * sums[3]) / below
        alpha = (sums[3] - beta * sums[1]) / sums[0]
        lowest = min(level.unit_ms for level in levels)
        if beta <= 0:
            # More at a time at no cost: as far as was seen there is no limit yet.
            return Line(lowest, 0.0, levels[-1].x)
        if alpha < ALPHA_SHARE_MIN * lowest:
            # Steeper than a line through nothing, as when replicas queue inside: the calm end decides what remains without load.
            alpha = ALPHA_SHARE_MIN * lowest
            beta = max((sums[4] - alpha * sums[1]) / sums[2], 0.0)
        return Line(alpha, beta, levels[-1].x)


ALPHA_SHARE_MIN = 0.2
"""Of the lowest token time seen: no engine is without a base cost."""


def _faded(weight: float) -> float:
    return round(max(weight * FADE, min(weight, WEIGHT_KEPT)), 3)


def _level_number(x: float) -> int:
    return math.floor(math.log(x) / math.log(LEVEL_RATIO))


def _brief(value: float) -> float:
    """Five digits are more than any sample is worth, and keep the state small."""
    return float(f"{value:.5g}")
