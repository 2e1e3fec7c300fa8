"""The present rate, its noise, where it goes; the highest needs; and what was learned from regrets and bursts."""

import pytest

from hostler_autoscaler.backoff import HOLD_SECONDS_MAX, Backoff
from hostler_autoscaler.bursts import Bursts
from hostler_autoscaler.demand import RateHistory, demanded, forecast, present_rate
from hostler_autoscaler.peaks import STEPS_MAX, Peaks


def history(*rates: float) -> RateHistory:
    return RateHistory(tuple(rates), 0.0)


def test_a_minute_counts_when_it_is_over():
    found = RateHistory().with_rate(1000, 5).with_rate(1030, 9).with_rate(1060, 6).with_rate(1110, 9)
    assert found.minutes == (6,)
    assert found.with_rate(1120, 7).minutes == (6, 7)


def test_after_a_gap_it_begins_anew():
    found = RateHistory((5.0, 6.0), 1000).with_rate(1300, 9)
    assert found.minutes == ()
    assert found.with_rate(1360, 8).minutes == (8,)


def test_a_steady_rise_is_no_noise():
    assert history(*range(10)).noise() == pytest.approx(0.707, abs=0.01)
    assert history(5, 9, 5, 9, 5, 9, 5, 9).noise() == pytest.approx(2.83, abs=0.01)
    assert history(5, 9, 5).noise() == 0


@pytest.mark.parametrize(
    ("rates", "ahead"),
    [
        ((10, 11, 12, 13, 14, 15), 15 + 0.7 * 3),
        ((15, 14, 13, 12, 11, 10), 10),
        ((10, 14, 9, 15, 10, 13), 13),
        ((10, 11, 12), 12),
        ((1, 4, 7, 10, 13, 16), 16 * 1.3),
    ],
    ids=["rise", "fall", "chance", "too short", "no more than 1.3 times"],
)
def test_only_a_sure_rise_is_foreseen(rates, ahead):
    assert forecast(history(*rates), rates[-1], 180) == pytest.approx(ahead)


@pytest.mark.parametrize(
    ("rate", "rate_20", "noise", "present"),
    [
        (10, None, 0, 10),
        (10, 8, 0, 10),
        (10, 12, 0, 10),
        (10, 13.5, 0, 13.5),
        (10, 13.5, 1, 10),
        (100, 125, 0, 100),
    ],
    ids=["unknown", "lower", "chance", "surely higher", "usual noise", "sure and small"],
)
def test_the_last_twenty_seconds_count_when_they_are_surely_higher(rate, rate_20, noise, present):
    assert present_rate(rate, rate_20, noise) == present


def test_the_headroom_is_half_the_noise_and_is_told():
    found = demanded(history(5, 9, 5, 9, 5, 9, 5, 9), 7, None, seconds=60)
    assert found.with_headroom == pytest.approx(7 + 1.414, abs=0.01)
    assert found.told == "7 + 1.4 rps over 60 s"


@pytest.mark.parametrize(
    ("rates", "rate", "sustained"),
    [
        ((9, 11, 10, 10), 12, 10.4),
        ((30, 9, 11, 10, 10), 12, 10.4),
        ((9, 11, 10, 10), 20, 12),
        ((9, 11, 10, 10), 4, 4),
        ((9, 11, 10), 12, 12),
    ],
    ids=[
        "a busy minute",
        "what was before",
        "a step up, which is the latency's matter",
        "a step down",
        "too little known",
    ],
)
def test_a_rate_is_sustained_that_lasts(rates, rate, sustained):
    assert history(*rates).sustained(rate) == pytest.approx(sustained)


def test_what_is_sustained_is_told():
    assert demanded(history(9, 11, 10, 10), 12, None, seconds=60).sustained == "10.4 rps over 5 min"
    assert demanded(history(9, 11, 10, 10), 4, None, seconds=60).sustained == "4 rps over 60 s"


# Peaks


def test_the_highest_need_since_any_time():
    peaks = Peaks()
    for second, need in ((0, 9.0), (10, 3.0), (20, 5.0), (30, 4.0)):
        peaks = peaks.with_need(second, need, horizon_seconds=300)
    assert peaks.entries == ((0, 9.0), (20, 5.0), (30, 4.0))
    assert [peaks.highest(since) for since in (0, 5, 20, 25, 40)] == [9, 5, 5, 4, 0]


def test_what_left_the_horizon_is_forgotten():
    peaks = Peaks().with_need(0, 9, horizon_seconds=300).with_need(400, 1, horizon_seconds=300)
    assert peaks.entries == ((400, 1),)


def test_a_slow_fall_stays_small_and_never_counts_for_less():
    peaks = Peaks()
    for second in range(4000):
        peaks = peaks.with_need(second, 100 - second / 50, horizon_seconds=3600)
    assert len(peaks.entries) <= STEPS_MAX + 2
    assert all(peaks.highest(3999 - back) >= 100 - (3999 - back) / 50 - 0.1 for back in range(0, 3600, 100))


# Regrets

CONFIGURED = 300.0


def up(backoff: Backoff, now: float, *, surge: bool = False) -> Backoff:
    return backoff.went_up(now, configured=CONFIGURED, cold_start_seconds=60, surge=surge)


def test_the_window_doubles_with_each_small_regret_up_to_four_times():
    backoff, windows = Backoff(), []
    for now in (1000.0, 1400.0, 1800.0):
        backoff = up(backoff.went_down(now), now + 200)
        windows.append(round(backoff.window_seconds(now + 200, CONFIGURED)))
    assert windows[0] == 600
    assert windows[1] in range(1100, 1200)
    assert windows[2] == 1200


def test_one_scale_down_is_regretted_once():
    backoff = up(up(Backoff().went_down(1000), 1100), 1200)
    assert backoff.level == 1


def test_a_scale_up_long_after_is_no_regret():
    assert up(Backoff().went_down(1000), 1000 + 300 + 121).level == 0
    assert up(Backoff(), 1000).level == 0


def test_regrets_fade_in_two_hours_each():
    backoff = Backoff(2.0, 1000)
    assert [round(backoff.window_seconds(1000 + hours * 3600, CONFIGURED)) for hours in (0, 2, 4, 5)] == [
        1200,
        600,
        300,
        300,
    ]


def test_a_surge_within_an_hour_of_a_scale_down_is_held_for_half_an_hour():
    backoff = up(Backoff().went_down(1000), 3000, surge=True)
    assert backoff.window_seconds(3000, CONFIGURED) == pytest.approx(HOLD_SECONDS_MAX, rel=0.01)
    assert up(Backoff().went_down(1000), 1000 + 3601, surge=True).window_seconds(4601, CONFIGURED) == 600
    assert up(Backoff(), 3000, surge=True).window_seconds(3000, CONFIGURED) == 600


def test_a_window_of_nothing_stays_one():
    backoff = Backoff().went_down(0).went_up(10, configured=0.0, cold_start_seconds=60, surge=True)
    assert backoff.window_seconds(10, 0.0) == 0


# Bursts


def looks(*steps: tuple[float, bool, int]) -> Bursts:
    bursts = Bursts()
    for now, surges, needed in steps:
        bursts = bursts.seen(now, surges=surges, desired=2, needed=needed, cold_start_seconds=100)
    return bursts


def test_a_burst_that_is_over_before_help_comes_is_counted_with_what_it_needed():
    bursts = looks((0, True, 5), (20, True, 6), (120, False, 2))
    assert (bursts.count, bursts.replicas, bursts.surge_at) == (1, 6, None)


def test_what_lasts_is_no_burst():
    assert looks((0, True, 5), (120, False, 5), (160, False, 2)).count == 0


def test_bursts_fade():
    bursts = looks((0, True, 5), (60, False, 2))
    assert bursts.counted(60 + 43_200) == 0.5


def test_of_what_lasts_one_standard_error_may_be_chance():
    assert demanded(history(12, 12, 12, 12), 12, None, seconds=60).sustained_error == pytest.approx(0.2)
