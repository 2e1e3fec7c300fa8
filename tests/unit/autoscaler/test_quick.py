"""A stabilisation window shorter than a minute: replicas go within seconds of the end of the load, and stay while it may come back."""

from dataclasses import replace

import pytest

from hostler_autoscaler import quick
from hostler_autoscaler.backoff import Backoff
from hostler_autoscaler.observation import LoadSignals
from hostler_autoscaler.policy_state import PolicyState
from tests.support.builders import at
from tests.unit.autoscaler.policy_runs import IN_FLIGHT, NO_DATA, RPS, Run, load, scaling

BUSY, CALM, END = 18.0, 1.0, 300.0


def ending(seconds: float, _: int = 0) -> LoadSignals:
    """Four replicas' worth of load that is gone from `END` on, as reports of five seconds tell it."""
    seconds = seconds // 5 * 5

    def over(length: float, until: float = seconds) -> float:
        calm = min(max(until - END, 0.0), length)
        return (BUSY * (length - calm) + CALM * calm) / length

    high = max(over(5, seconds - ago) for ago in (0, 5, 10, 15))
    busy = 2 * over(2)
    told = load(over(60), rps_20=over(20), in_flight=round(busy), rps_high=high, concurrency_high=2 * high)
    return replace(told, concurrency=2 * over(60), concurrency_20=2 * over(20))


def minutely(seconds: float, ready: int) -> LoadSignals:
    """The same where nobody tells of seconds."""
    return replace(ending(seconds, ready), rps_high=None, concurrency_high=None)


def falls(run: Run) -> list[tuple[float, int]]:
    """The steps after the end of the load, in seconds since then."""
    return [(seconds - END, replicas) for seconds, replicas in run.changes if seconds > END]


@pytest.mark.parametrize(
    ("window", "steps"),
    [
        (0, [(20, 1)]),
        (5, [(24, 2), (30, 1)]),
        (15, [(34, 2), (50, 1)]),
        (45, [(64, 2), (110, 1)]),
    ],
)
@pytest.mark.parametrize("target", [RPS, replace(IN_FLIGHT, threshold=10.0)], ids=["rate", "concurrency"])
def test_the_first_replicas_go_when_the_busiest_seconds_and_the_window_are_over(window, steps, target):
    run = Run(scaling(target, window=window), cold=4, tick=2).go(END + 300, ending)
    told = falls(run)
    assert [replicas for _, replicas in told] == [replicas for _, replicas in steps]
    for (seconds, _), (wanted, _) in zip(told, steps, strict=True):
        assert wanted <= seconds <= wanted + 4


def test_the_reason_tells_of_the_busiest_seconds():
    run = Run(scaling(RPS, window=0), cold=4, tick=2).go(END + 40, ending)
    reasons = [each.reason for _, each in run.decisions if each.reason.startswith("down")]
    assert reasons == ["down from 4 to 1: 0.20 were needed in the busiest 5 s of 20 s"]


def test_where_nobody_tells_of_seconds_the_minute_decides():
    run = Run(scaling(RPS, window=5), cold=4, tick=2).go(END + 300, minutely)
    assert falls(run)[0][0] >= 60


def test_a_window_of_a_minute_goes_by_the_minute_alone():
    spec = scaling(RPS, window=60)
    quick, slow = (Run(spec, cold=4, tick=2).go(END + 300, told) for told in (ending, minutely))
    assert [decision for _, decision in quick.decisions] == [decision for _, decision in slow.decisions]
    assert quick.state.to_json() == slow.state.to_json()


def test_load_that_went_within_seconds_is_not_asked_for_again_by_the_minute():
    run = Run(scaling(RPS, window=0), cold=4, tick=2).go(END + 300, ending)
    assert [replicas for _, replicas in run.changes] == [4, 1]


def test_one_that_is_hardly_needed_stays_as_long_as_the_minute_says():
    """Those that stay would carry the busiest seconds, but with little to spare, and chance moves those more than a minute."""
    run = Run(scaling(RPS, window=0), current=2, tick=2).go(50, load(4.3, rps_high=4.4))
    assert run.changes == []
    assert run.go(50, load(4.3, rps_high=4.4)).changes == [(60, 1)]


def test_without_good_news_for_so_long_nothing_goes():
    run = Run(scaling(RPS, window=5), current=4, tick=2).go(20, load(CALM, rps_high=CALM))
    assert run.last.reason == "held at 4, 1 would do: 18 s of good news, not yet 25 s"
    run.go(2, NO_DATA).go(24, load(CALM, rps_high=CALM))
    assert run.changes == []
    assert run.go(4, load(CALM, rps_high=CALM)).current == 2


def test_load_that_comes_back_at_once_makes_the_next_wait_twice_as_long_and_at_most_four_times():
    busy, calm = load(BUSY, rps_high=BUSY), load(CALM, rps_high=CALM)
    run, waits = Run(scaling(RPS, window=5), cold=4, tick=2).go(60, busy), []
    for _ in range(4):
        began = run.seconds
        # These figures tell of calm at once, so what is left is the window, 20 s less than a regret doubles.
        while run.current > 1:
            run.go(2, calm)
        waits.append(next(seconds for seconds, _ in run.changes if seconds >= began) - began)
        run.go(20, busy)
    assert waits == pytest.approx([5, 30, 80, 80], abs=3)


def test_load_that_comes_back_slowly_is_a_regret_as_well():
    """More than the window and two cold starts after the step down, because only the minute notices it."""
    run = Run(scaling(RPS, window=0), cold=4, tick=2).go(60, load(9, rps_high=9))
    run.go(10, load(CALM, rps_high=CALM)).go(50, load(4, rps_high=4)).go(2, load(9, rps_high=9))
    assert [replicas for _, replicas in run.changes] == [2, 1, 2]
    assert run.state.backoff.level == 1.0


def test_who_had_a_longer_window_does_not_wait_for_what_was_learned_in_it():
    learned = Backoff(level=6.0, at=at(0).timestamp(), down_at=at(0).timestamp())
    run = Run(scaling(RPS, window=5), cold=4, tick=2, state=PolicyState(backoff=learned))
    run.go(60, load(BUSY, rps_high=BUSY)).go(200, load(CALM, rps_high=CALM))
    assert [replicas for _, replicas in run.changes] == [4, 2, 1]
    # Four times 25 s, of which the load that was just told is told for 20 more.
    assert run.changes[1][0] == pytest.approx(60 + 80, abs=3)


@pytest.mark.parametrize(
    ("window", "tick", "honoured_as"),
    [(0, 2.0, 0), (5, 5.0, 5), (5, 10.0, 60), (60, 10.0, 60), (90, 10.0, 90)],
)
def test_a_short_window_takes_looks_that_come_often(window: int, tick: float, honoured_as: int) -> None:
    spec = quick.honoured(scaling(RPS, window=window), tick_seconds=tick)
    assert spec == scaling(RPS, window=honoured_as)
