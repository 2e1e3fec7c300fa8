"""A load that swings several times a minute turns the number of replicas at most once, however short the window is that the job asks for.

One that swings about once a minute is seen as what it is, surges of half a minute: there a step down may be regretted, and each regret makes
the next one wait for longer.
"""

from dataclasses import replace
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hostler_autoscaler.quick import honoured
from hostler_domain.scaling import ScalingTarget
from tests.unit.autoscaler.policy_runs import IN_FLIGHT, RPS, Run, load, scaling

PARTS = 200
REQUEST_SECONDS = 2.0
"""How long each request takes, for a target for those under way at a time."""
CONCURRENCY = replace(IN_FLIGHT, threshold=RPS.threshold * REQUEST_SECONDS)


def mean_rate(low: float, high: float, half: float, end: float, seconds: float) -> float:
    """What came per second in the time before `end`, of a load that is high and low in turn from 0 on, and low before."""
    moments = (end - seconds * (part + 0.5) / PARTS for part in range(PARTS))
    return sum(high if at >= 0 and at // half % 2 == 0 else low for at in moments) / PARTS


def turns(
    target: ScalingTarget,
    window: int,
    tick: float,
    half: float,
    low: float,
    high: float,
    cold: float,
    maximum: int,
):
    """How often ten minutes of it turn the number of replicas, and the numbers."""

    def told(seconds: float, _: int):
        rps, rps_20, now = (mean_rate(low, high, half, seconds, over) for over in (60, 20, 2))
        busiest = max(mean_rate(low, high, half, seconds - ago, 5) for ago in (0, 5, 10, 15))
        told = load(rps, rps_20=rps_20, in_flight=round(REQUEST_SECONDS * now), rps_high=busiest)
        return replace(
            told,
            concurrency=REQUEST_SECONDS * rps,
            concurrency_20=REQUEST_SECONDS * rps_20,
            concurrency_high=REQUEST_SECONDS * busiest,
        )

    spec = honoured(scaling(target, window=window, maximum=maximum), tick_seconds=tick)
    run = Run(spec, cold=cold, tick=tick).go(600, told)
    steps = [1, *(replicas for _, replicas in run.changes)]
    return sum((c - b) * (b - a) < 0 for (a, b), (_, c) in pairwise(pairwise(steps))), steps


def worlds(half, ticks):
    return given(
        target=st.sampled_from([RPS, CONCURRENCY]),
        window=st.one_of(st.integers(0, 15), st.integers(0, 80)),
        tick=st.sampled_from(ticks),
        half=half,
        low=st.floats(0.2, 2),
        high=st.floats(2, 60),
        cold=st.sampled_from([2.0, 5.0, 30.0]),
        maximum=st.integers(1, 12),
    )


@settings(max_examples=60, deadline=None)
@example(target=RPS, window=0, tick=2.0, half=12.0, low=0.2, high=20.0, cold=2.0, maximum=6)
@example(target=CONCURRENCY, window=0, tick=2.0, half=10.0, low=0.2, high=20.0, cold=2.0, maximum=6)
@worlds(half=st.floats(2, 12), ticks=[2.0, 5.0, 10.0])
def test_a_load_that_swings_several_times_a_minute_turns_the_replicas_at_most_once(**world):
    turned, steps = turns(**world)
    assert turned <= 1, steps


@settings(max_examples=40, deadline=None)
@worlds(half=st.floats(12, 30), ticks=[2.0, 5.0, 10.0])
def test_surges_that_come_each_minute_are_regretted_no_more_than_twice_in_ten_minutes(**world):
    turned, steps = turns(**world)
    assert turned <= 4, steps
