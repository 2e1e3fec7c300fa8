"""What load windows amount to."""

import pytest

from hostler_autoscaler.observation import LoadSignals, NoData
from hostler_contracts.load import LoadWindow
from hostler_domain.histogram import bucket, upper_bound
from tests.support.builders import JOB_ID, at
from tests.unit.autoscaler.reports import every, seen, store_of, told, window


def test_a_rate_is_arrivals_over_the_time_that_the_windows_cover() -> None:
    load = seen(*every(0, 60, arrivals=10))
    assert (load.rps, load.rps_20, load.seconds_covered) == (2.0, 2.0, 60)


def test_the_quick_rate_is_that_of_the_last_twenty_seconds() -> None:
    load = seen(*every(0, 40, arrivals=10), *every(40, 60, arrivals=40))
    assert load.rps_20 == 8.0
    assert load.rps == pytest.approx(4.0)


def test_the_busiest_five_seconds_of_the_last_twenty_are_told_where_they_are_asked_for() -> None:
    course = [*every(0, 45, arrivals=50, in_flight=9), *every(45, 60, arrivals=5, in_flight=1, queued=1)]
    assert (seen(*course).rps_high, seen(*course).concurrency_high) == (None, None)
    load = seen(*course, quickly=True)
    assert (load.rps_high, load.concurrency_high) == (10.0, 9.0)
    load = seen(*course, *every(60, 65, arrivals=5, in_flight=2), now=65, quickly=True)
    assert (load.rps_high, load.concurrency_high) == (1.0, 2.0)


def test_the_busiest_seconds_of_routers_add_up() -> None:
    others = every(0, 60, arrivals=10, in_flight=3, router="router-2")
    load = seen(*every(0, 60, arrivals=5, in_flight=1), *others, quickly=True)
    assert (load.rps_high, load.concurrency_high) == (3.0, 4.0)


def test_of_an_idle_job_the_busiest_seconds_are_none() -> None:
    load = seen(*every(0, 60), quickly=True)
    assert (load.rps_high, load.concurrency_high) == (0.0, 0.0)


def test_a_router_that_reports_too_seldom_leaves_the_busiest_seconds_unknown() -> None:
    seldom = window(-25, arrivals=600, seconds=60, router="router-2")
    load = seen(*every(0, 60, arrivals=5), seldom, quickly=True)
    assert (load.rps_high, load.concurrency_high) == (None, None)


def test_a_router_that_fell_silent_leaves_the_busiest_seconds_as_they_were() -> None:
    silent = every(0, 60, arrivals=50, in_flight=9, router="router-2")
    load = seen(*silent, *every(0, 120, arrivals=5), now=120, quickly=True)
    assert (load.rps_high, load.concurrency_high) == (11.0, 9.0)


def test_soon_after_a_start_the_rate_is_over_what_there_is() -> None:
    load = seen(window(50, arrivals=10), window(55, arrivals=20))
    assert (load.rps, load.seconds_covered) == (3.0, 10)


def test_a_window_that_was_cut_early_is_no_burst() -> None:
    load = seen(window(59.9, seconds=0.01, arrivals=1, queued=1))
    assert load.rps == pytest.approx(0.2)


def test_rates_of_routers_add_up() -> None:
    assert seen(*every(0, 60, arrivals=10), *every(0, 60, arrivals=5, router="router-2")).rps == 3.0


def test_routers_that_are_out_of_step_add_up_as_well() -> None:
    assert seen(*every(0, 60, arrivals=10), *every(-3, 57, arrivals=5, router="b")).rps == pytest.approx(3.0)


def test_a_router_that_was_replaced_meanwhile_is_not_counted_double() -> None:
    old = [*every(0, 25, arrivals=10, router="old"), window(25, arrivals=10, router="old", leaves=True)]
    assert seen(*old, *every(30, 60, arrivals=10, router="new")).rps == 2.0


def test_a_router_that_took_over_half_leaves_the_rate_as_it_was() -> None:
    one = [*every(0, 30, arrivals=10), *every(30, 60, arrivals=5)]
    assert seen(*one, *every(30, 60, arrivals=5, router="new")).rps == 2.0


@pytest.mark.parametrize("lost", [[20], [20, 25], [20, 25, 30, 35], [0], [55], [45, 50, 55]])
def test_windows_that_were_lost_or_are_late_do_not_lower_the_rate(lost: list[int]) -> None:
    one = [each for each in every(0, 60, arrivals=10) if each.started_at not in {at(start) for start in lost}]
    assert seen(*one, *every(0, 60, arrivals=10, router="router-2")).rps == pytest.approx(4.0)


def test_what_is_older_than_the_look_back_does_not_count() -> None:
    assert seen(window(-10, arrivals=1000), *every(0, 60, arrivals=5)).rps == 1.0


def test_latency_histograms_of_routers_merge() -> None:
    load = seen(
        window(50, latencies_ms=(10.0,) * 90), window(50, router="router-2", latencies_ms=(1000.0,) * 10)
    )
    top = bucket(1000.0)
    assert load.completions == 100
    assert load.p95_ms is not None
    assert upper_bound(top - 1) <= load.p95_ms <= upper_bound(top)
    assert load.p50_ms is not None
    assert load.p50_ms <= upper_bound(bucket(10.0))


def test_means_are_made_of_sums() -> None:
    load = seen(
        window(50, latencies_ms=(100.0,) * 3, total_ms=300.0, timed=(200.0, 10)),
        window(55, latencies_ms=(900.0,), total_ms=900.0, timed=(900.0, 10)),
        window(55, latencies_ms=(9000.0,), router="of an earlier version"),
    )
    assert load.mean_ms == 300.0
    assert load.token_ms == 55.0


def test_what_no_router_says_is_unknown() -> None:
    load = seen(*every(0, 60, arrivals=1))
    assert (load.p95_ms, load.mean_ms, load.token_ms, load.kv_utilisation) == (None, None, None, None)
    assert (load.queue_age_seconds, load.audio_seconds_per_second) == (None, None)


def test_in_flight_and_waiting_are_what_the_newest_window_of_each_router_says() -> None:
    load = seen(
        window(50, in_flight=9, queued=9),
        window(55, in_flight=3, queued=3, queue_age=1.5),
        window(50, in_flight=2, queued=1, queue_age=4.0, router="router-2"),
        window(55, in_flight=4, router="without a queue"),
        window(50, in_flight=70, queued=70, router="gone", leaves=True),
    )
    assert (load.in_flight, load.queued, load.outstanding) == (9, 4, 13)
    assert load.queue_age_seconds == 4.0


def test_concurrency_is_the_mean_of_the_last_minute_and_of_its_last_twenty_seconds() -> None:
    load = seen(
        *every(0, 40, in_flight=90),
        *every(40, 50, in_flight=2, queued=2),
        *every(50, 60, in_flight=6),
        *every(0, 60, in_flight=1, router="router-2"),
    )
    assert load.concurrency_20 == pytest.approx(6.0)
    assert load.concurrency == pytest.approx((90 * 40 + 4 * 10 + 6 * 10) / 60 + 1)


def test_memory_is_the_mean_over_replicas_of_what_each_said_last() -> None:
    load = seen(
        window(45, kv={"r1": 0.9, "r2": 0.9}),
        window(50, kv={"r1": 0.2}),
        window(55, kv={"r2": 0.4}, router="router-2"),
        window(5, kv={"gone": 1.0}),
    )
    assert load.kv_utilisation == pytest.approx(0.3)


def test_audio_counts_for_jobs_that_listen_and_no_audio_is_news_then() -> None:
    assert seen(*every(0, 60, audio=20), listens=True).audio_seconds_per_second == 4.0
    assert seen(*every(0, 60), listens=True).audio_seconds_per_second == 0.0


def test_windows_of_zeros_are_data() -> None:
    load = seen(*every(0, 60))
    assert (load.rps, load.in_flight, load.p95_ms, load.idle_seconds) == (0.0, 0, None, None)


BUSY = pytest.mark.parametrize(
    "busy",
    [
        window(40, arrivals=1),
        window(40, arrivals=1, rejected=1),
        window(40, in_flight=1),
        window(40, queued=1),
    ],
    ids=["came", "turned away", "under way", "waited"],
)


@BUSY
def test_it_is_known_for_how_long_nobody_has_wanted_anything(busy: LoadWindow) -> None:
    assert seen(busy, window(55)).idle_seconds == 15


@BUSY
def test_the_time_that_no_router_tells_of_is_not_taken_for_quiet(busy: LoadWindow) -> None:
    load = seen(busy, window(50), now=70)
    assert (load.age_seconds, load.idle_seconds) == (15, 10)


def test_a_job_that_sleeps_is_told_when_somebody_wanted_it_last() -> None:
    assert seen(window(40, arrivals=1), window(50), now=70, serves=False).idle_seconds == 25


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ([], "no load window of the last 60 s"),
        ([window(-10)], "no load window of the last 60 s"),
        ([window(34, arrivals=5)], "the newest load window ended 21 s ago, over 20 s"),
        ([window(0, seconds=10)], "the newest load window ended 50 s ago, over 30 s"),
    ],
    ids=["none", "old", "stale", "stale by periods"],
)
def test_without_a_fresh_window_there_is_no_data(windows: list, reason: str) -> None:
    assert told(windows) == NoData(reason)


def test_a_router_with_long_periods_is_fresh_for_three_of_them() -> None:
    assert isinstance(told([window(5, seconds=15)]), LoadSignals)


def test_a_short_window_does_not_make_a_router_with_long_periods_look_gone() -> None:
    early = window(12, seconds=0.5, queued=1)
    assert isinstance(told([early], now=40), NoData)
    assert isinstance(told([window(2, seconds=10), early], now=40), LoadSignals)


# Two routers with 2 requests per second and 4 under way each; the second one is not heard of after second 60.
HALF = {"arrivals": 10, "in_flight": 4}
ONE, OTHER = every(0, 60, **HALF), every(0, 60, router="router-2", **HALF)


@pytest.mark.parametrize("now", [70, 85, 100, 150, 240, 355])
def test_a_router_that_falls_silent_is_not_taken_for_one_without_load(now: int) -> None:
    load = seen(*ONE, *OTHER, *every(60, now, **HALF), now=now)
    assert load.rps == pytest.approx(4.0)
    assert load.rps_20 == pytest.approx(4.0)
    assert (load.in_flight, load.concurrency, load.idle_seconds) == (8, 8.0, 0.0)
    assert load.concurrency_20 == pytest.approx(8.0)


def test_what_moved_from_a_silent_router_to_the_others_is_not_counted_twice() -> None:
    load = seen(*ONE, *OTHER, *every(60, 180, arrivals=20, in_flight=8), now=180)
    assert load.rps == pytest.approx(4.0)
    assert load.in_flight == 8


def test_more_load_at_the_others_counts_while_one_is_silent() -> None:
    assert seen(*ONE, *OTHER, *every(60, 180, arrivals=50), now=180).rps == pytest.approx(10.0)


def test_after_five_minutes_a_silent_router_is_gone() -> None:
    assert seen(*ONE, *OTHER, *every(60, 365, **HALF), now=365).rps == pytest.approx(2.0)


def test_a_router_that_left_takes_its_load_along_at_once() -> None:
    last = OTHER[-1].model_copy(update={"leaves": True})
    load = seen(*ONE, *OTHER[:-1], last, *every(60, 120, **HALF), now=120)
    assert load.rps == pytest.approx(2.0)
    assert load.in_flight == 4


def test_a_silent_router_that_had_no_request_of_the_job_changes_nothing() -> None:
    idle = every(0, 60, router="router-2")
    assert seen(*ONE, *idle, *every(60, 180), now=180).rps == 0.0


def test_silence_wakes_no_job_that_sleeps() -> None:
    load = seen(*ONE, *OTHER, *every(60, 180), now=180, serves=False)
    assert (load.rps, load.in_flight, load.idle_seconds) == (0.0, 0, None)


def test_when_all_routers_are_silent_nothing_is_known() -> None:
    assert isinstance(told([*ONE, *OTHER], now=90), NoData)


def test_a_router_that_comes_back_counts_as_it_reports() -> None:
    back = every(200, 240, arrivals=5, router="router-2")
    load = seen(*ONE, *OTHER, *every(60, 240, **HALF), *back, now=240)
    assert load.in_flight == 4


def test_a_clock_that_is_ahead_makes_no_window_younger_than_when_it_came() -> None:
    load = seen(window(3600, arrivals=10), now=60)
    assert (load.rps, load.age_seconds) == (2.0, 0.0)


def test_windows_that_come_twice_count_once() -> None:
    assert seen(*every(0, 60, arrivals=10), *every(0, 60, arrivals=10)).rps == 2.0


def test_old_windows_and_those_of_jobs_that_are_gone_are_forgotten() -> None:
    store = store_of([window(-200, arrivals=1), window(50)])
    assert [each.end for each in store.of(JOB_ID)] == [at(55).timestamp()]
    store.prune(now=at(60), living=lambda _: False)
    assert store.of(JOB_ID) == ()


def test_what_is_kept_of_a_silent_router_does_not_grow() -> None:
    store = store_of([*ONE, *OTHER, *every(60, 300, **HALF)], now=300)
    oldest = [each for each in store.of(JOB_ID) if each.end <= at(60).timestamp()]
    assert len(oldest) == 24
    assert len(store.of(JOB_ID)) == 24 + 26
