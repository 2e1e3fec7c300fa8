"""Makes traffic: Poisson arrivals at a rate that is a function of time, prompts and answers of log-normal lengths."""

from collections.abc import Callable
from math import exp, log, pi, sin
from random import Random

from hostler_autoscaler.simulation.traffic import Traffic, of_rows

Rate = Callable[[float], float]
"""Requests per second at a second."""

PROMPT_MEDIAN = 600
PROMPT_SIGMA = 0.8
ANSWER_MEDIAN = 150
ANSWER_SIGMA = 0.7
TOKENS_MAX = 4096


def arrivals(
    seconds: float, rate: Rate, highest: float, seed: int, *, longer: Rate = lambda _: 1.0
) -> Traffic:
    """Poisson arrivals by thinning.

    Args:
        seconds: How long.
        rate: At each second.
        highest: What the rate never exceeds.
        seed: Of the random numbers.
        longer: By how much answers are longer at each second.
    """
    rng = Random(seed)
    rows = []
    at = 0.0
    while (at := at + rng.expovariate(highest)) < seconds:
        if rng.random() * highest < rate(at):
            prompt = min(TOKENS_MAX, int(rng.lognormvariate(log(PROMPT_MEDIAN), PROMPT_SIGMA)) + 1)
            answer = rng.lognormvariate(log(ANSWER_MEDIAN), ANSWER_SIGMA) * longer(at)
            rows.append((at, prompt, min(TOKENS_MAX, int(answer) + 1)))
    return of_rows(seconds, rows)


def step(low: float, high: float, begin: float, end: float) -> Rate:
    """High from begin to end, low before and after."""
    return lambda at: high if begin <= at < end else low


def ramp(low: float, high: float, up: tuple[float, float], down: tuple[float, float]) -> Rate:
    """From low to high and back, evenly."""

    def rate(at: float) -> float:
        share = min((at - up[0]) / (up[1] - up[0]), (down[1] - at) / (down[1] - down[0]))
        return low + (high - low) * min(1.0, max(0.0, share))

    return rate


def on_off(low: float, high: float, period: float) -> Rate:
    """Half a period low, half a period high."""
    return lambda at: high if at % period >= period / 2 else low


def bursts(low: float, high: float, every: float, lasts: float) -> Rate:
    """High for short times."""
    return lambda at: high if at % every >= every - lasts else low


def diurnal(low: float, high: float, *, seed: int, noise: float = 0.0) -> Rate:
    """A day with its low at 4 and its high at 16 o'clock, times slow noise: a random walk that is pulled back within ten minutes."""
    rng = Random(seed)
    walk = [0.0]
    pull = 60.0 / 600.0
    for _ in range(24 * 60 + 1):
        walk.append(walk[-1] * (1 - pull) + rng.gauss(0.0, noise * (2 * pull) ** 0.5))

    def rate(at: float) -> float:
        day = 0.5 + 0.5 * sin(2 * pi * (at / 86400.0 - 10 / 24))
        return (low + (high - low) * day) * exp(walk[int(at / 60) % len(walk)])

    return rate
