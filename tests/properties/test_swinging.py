"""A load that swings within a minute turns the number of replicas at most once, however short the window is that the job asks for."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.autoscaler.policy_runs import RPS, Run, load, scaling

PARTS = 200


def mean_rate(low: float, high: float, half: float, end: float, seconds: float) -> float:
    """What came per second in the time before `end`, of a load that is high and low in turn from 0 on, and low before."""
    moments = (end - seconds * (part + 0.5) / PARTS for part in range(PARTS))
    return sum(high if at >= 0 and at // half % 2 == 0 else low for at in moments) / PARTS


@settings(max_examples=60, deadline=None)
@given(
    window=st.integers(0, 15),
    tick=st.sampled_from([2.0, 5.0, 10.0]),
    half=st.floats(2, 30),
    low=st.floats(0.2, 2),
    high=st.floats(2, 60),
    cold=st.sampled_from([2.0, 5.0, 30.0]),
    maximum=st.integers(1, 12),
)
def test_a_load_that_swings_within_a_minute_turns_the_replicas_at_most_once(
    window, tick, half, low, high, cold, maximum
):
    def told(seconds: float, _: int):
        rps, rps_20, now = (mean_rate(low, high, half, seconds, over) for over in (60, 20, 2))
        return load(rps, rps_20=rps_20, in_flight=round(0.3 * now))

    run = Run(scaling(RPS, window=window, maximum=maximum), cold=cold, tick=tick).go(600, told)
    steps = [1, *(replicas for _, replicas in run.changes)]
    turned = sum((c - b) * (b - a) < 0 for (a, b), (_, c) in pairwise(pairwise(steps)))
    assert turned <= 1, steps
