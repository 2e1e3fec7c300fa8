"""What load windows amount to."""

import pytest

from hostler_autoscaler.observe import Load, NoData, observe, seconds_covered
from hostler_autoscaler.windows import WindowStore
from hostler_domain.histogram import bucket, upper_bound
from tests.support.builders import JOB_ID, at
from tests.unit.autoscaler.loads import window


def seen(*windows, **more) -> Load:
    found = observe(windows, now=at(60), **more)
    assert isinstance(found, Load)
    return found


def test_a_rate_is_arrivals_over_the_time_that_the_windows_cover():
    load = seen(*(window(start, arrivals=10) for start in range(0, 60, 5)))
    assert (load.rps, load.seconds_covered) == (2.0, 60)


def test_soon_after_a_start_the_rate_is_over_what_there_is():
    load = seen(window(50, arrivals=10), window(55, arrivals=20))
    assert (load.rps, load.seconds_covered) == (3.0, 10)


def test_a_window_that_was_cut_early_is_no_burst():
    load = seen(window(59.9, seconds=0.01, arrivals=1, queued=1))
    assert (load.rps, load.seconds_covered) == (0.2, 5)


def test_rates_of_routers_add_up():
    one = [window(start, arrivals=10) for start in range(0, 60, 5)]
    other = [window(start, arrivals=5, router="router-2") for start in range(0, 60, 5)]
    assert seen(*one, *other).rps == 3.0


def test_a_router_that_was_replaced_meanwhile_is_not_counted_double():
    old = [window(start, arrivals=10, router="old") for start in range(0, 30, 5)]
    new = [window(start, arrivals=10, router="new") for start in range(30, 60, 5)]
    assert seen(*old, *new).rps == 2.0


def test_windows_of_routers_that_are_out_of_step_cover_their_union():
    assert seconds_covered([window(0), window(3, router="b"), window(20)]) == 13


def test_what_is_older_than_the_look_back_does_not_count():
    assert seen(window(-10, arrivals=1000), window(55, arrivals=5)).rps == 1.0


def test_latency_histograms_of_routers_merge():
    load = seen(
        window(50, latencies_ms=(10.0,) * 90), window(50, router="router-2", latencies_ms=(1000.0,) * 10)
    )
    top = bucket(1000.0)
    assert load.completions == 100
    assert load.p95_ms is not None
    assert upper_bound(top - 1) <= load.p95_ms <= upper_bound(top)


def test_latencies_count_from_windows_that_began_late_enough():
    windows = [window(40, latencies_ms=(5000.0,) * 10), window(50, latencies_ms=(10.0,) * 10)]
    load = seen(*windows, latency_since=at(45))
    assert load.completions == 10
    assert load.p95_ms is not None
    assert load.p95_ms < 20
    assert seen(*windows, latency_since=at(55)).p95_ms is None


def test_in_flight_is_what_the_newest_window_of_each_fresh_router_says():
    load = seen(
        window(50, in_flight=9),
        window(55, in_flight=3),
        window(55, in_flight=2, router="router-2"),
        window(5, in_flight=70, router="gone"),
    )
    assert load.in_flight == 5


def test_what_waits_is_what_the_newest_window_of_each_fresh_router_says():
    load = seen(
        window(50, queued=9),
        window(55, queued=3, in_flight=1),
        window(55, queued=2, router="router-2"),
        window(55, in_flight=4, router="without a queue"),
        window(5, queued=70, router="gone"),
    )
    assert (load.queued, load.in_flight, load.demand) == (5, 5, 10)


def test_a_short_window_does_not_make_a_router_with_long_periods_look_gone():
    early = window(12, seconds=0.5, queued=1)
    assert isinstance(observe([early], now=at(40)), NoData)
    assert isinstance(observe([window(2, seconds=10), early], now=at(40)), Load)


def test_windows_of_zeros_are_data():
    load = seen(*(window(start) for start in range(0, 60, 5)))
    assert (load.rps, load.in_flight, load.p95_ms, load.active_at) == (0.0, 0, None, None)


@pytest.mark.parametrize(
    ("windows", "active_at"),
    [
        ([window(40, arrivals=1), window(55)], at(45)),
        ([window(40, arrivals=1, rejected=1), window(55)], at(45)),
        ([window(45, in_flight=1), window(55)], at(50)),
        ([window(45, queued=1), window(55, queued=0)], at(50)),
    ],
    ids=["came", "turned away", "under way", "waited"],
)
def test_it_is_known_when_the_job_was_last_busy(windows, active_at):
    assert seen(*windows).active_at == active_at


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ([], "no load window of the last 60 s"),
        ([window(-10)], "no load window of the last 60 s"),
        ([window(34)], "the newest load window ended 21 s ago, over 20 s"),
        ([window(0, seconds=10)], "the newest load window ended 50 s ago, over 30 s"),
    ],
    ids=["none", "old", "stale", "stale by periods"],
)
def test_without_a_fresh_window_there_is_no_data(windows, reason):
    assert observe(windows, now=at(60)) == NoData(reason)


def test_a_router_with_long_periods_is_fresh_for_three_of_them():
    assert isinstance(observe([window(5, seconds=15)], now=at(60)), Load)


def test_a_window_that_comes_twice_counts_once():
    store = WindowStore()
    for _ in range(2):
        store.add(window(50, arrivals=10))
    assert seen(*store.of(JOB_ID)).rps == 2.0


def test_old_windows_and_those_of_jobs_that_are_gone_are_forgotten():
    store = WindowStore()
    store.add(window(-40))
    store.add(window(50))
    store.prune(now=at(60), living=lambda _: True)
    assert store.of(JOB_ID) == (window(50),)
    store.prune(now=at(60), living=lambda _: False)
    assert store.of(JOB_ID) == ()
