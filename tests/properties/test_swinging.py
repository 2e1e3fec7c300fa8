"""A load that swings several times a minute turns the number of replicas at most once, however short the window is that the job asks for.

One that swings about once a minute is seen as what it is, surges of half a minute: there a step down may be regretted, and each regret makes
the next one wait for longer.
"""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.autoscaler.policy_runs import RPS, Run, load, scaling

PARTS = 200


def mean_rate(low: float, high: float, half: float, end: float, seconds: float) -> float:
    """What came per second in the time before `end`, of a load that is high and low in turn from 0 on, and low before."""
    moments = (end - seconds * (part + 0.5) / PARTS for part in range(PARTS))
    return sum(high if at >= 0 and at // half % 2 == 0 else low for at in moments) / PARTS


def turns(window: int, tick: float, half: float, low: float, high: float, cold: float, maximum: int):
    """How often ten minutes of it turn the number of replicas, and the numbers."""

    def told(seconds: float, _: int):
        rps, rps_20, now = (mean_rate(low, high, half, seconds, over) for over in (60, 20, 2))
        busiest = max(mean_rate(low, high, half, seconds - ago, 5) for ago in (0, 5, 10, 15))
        return load(rps, rps_20=rps_20, in_flight=round(0.3 * now), rps_high=busiest)

    run = Run(scaling(RPS, window=window, maximum=maximum), cold=cold, tick=tick).go(600, told)
    steps = [1, *(replicas for _, replicas in run.changes)]
    return sum((c - b) * (b - a) < 0 for (a, b), (_, c) in pairwise(pairwise(steps))), steps


def worlds(half):
    return given(
        window=st.integers(0, 15),
        tick=st.sampled_from([2.0, 5.0, 10.0]),
        half=half,
        low=st.floats(0.2, 2),
        high=st.floats(2, 60),
        cold=st.sampled_from([2.0, 5.0, 30.0]),
        maximum=st.integers(1, 12),
    )


@settings(max_examples=60, deadline=None)
@worlds(half=st.floats(2, 12))
def test_a_load_that_swings_several_times_a_minute_turns_the_replicas_at_most_once(**world):
    turned, steps = turns(**world)
    assert turned <= 1, steps


@settings(max_examples=40, deadline=None)
@worlds(half=st.floats(12, 30))
def test_surges_that_come_each_minute_are_regretted_no_more_than_twice_in_ten_minutes(**world):
    turned, steps = turns(**world)
    assert turned <= 4, steps
