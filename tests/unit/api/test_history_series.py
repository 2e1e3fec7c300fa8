"""Samples out of slots: gaps, shares, rates, and which resolution answers."""

from datetime import UTC, datetime

import pytest

from hostler_api.history.resolutions import FINE, HOUR, MINUTE, RESOLUTIONS, Resolution, resolution_for
from hostler_api.history.series import Spans, read_series
from hostler_api.history.shapes import SeriesName
from hostler_api.history.slots import Slot, Source
from hostler_domain.histogram import bucket, upper_bound

DAY_MS = 24 * 3600 * 1000
NOW_MS = 20_000 * DAY_MS
FIRST = FINE.slot(NOW_MS)


def busy(arrivals: int, *, seconds: float = 10, latency_ms: float | None = None) -> Slot:
    return Slot(
        sources={"router-1": Source(1, seconds)},
        arrivals=arrivals,
        completed=arrivals,
        in_flight_seconds=2 * seconds,
        latency_ms={} if latency_ms is None else {bucket(latency_ms): arrivals},
    )


def values(
    name: SeriesName, slots: dict[int, Slot], *, seconds: int, samples: int, resolution: Resolution = FINE
) -> list[float | None]:
    spans = Spans(NOW_MS, NOW_MS + seconds * 1000, samples, NOW_MS + DAY_MS)
    (series,) = read_series([name], slots, resolution, spans)
    return [each.value for each in series.samples]


def test_a_time_without_a_window_is_a_gap_and_not_a_zero() -> None:
    slots = {FIRST: busy(4), FIRST + 2: busy(0)}
    assert values(SeriesName.REQUESTS, slots, seconds=30, samples=3) == [4, None, 0]


def test_several_slots_make_one_sample() -> None:
    slots = {FIRST: busy(4), FIRST + 1: busy(6)}
    assert values(SeriesName.REQUESTS, slots, seconds=20, samples=1) == [10]
    assert values(SeriesName.THROUGHPUT, slots, seconds=20, samples=1) == [0.5]


def test_a_slot_is_shared_out_over_shorter_samples() -> None:
    slots = {FIRST: busy(4)}
    assert values(SeriesName.REQUESTS, slots, seconds=10, samples=2) == [2, 2]
    assert values(SeriesName.THROUGHPUT, slots, seconds=10, samples=2) == [0.4, 0.4]


def test_a_rate_counts_only_the_time_that_is_known() -> None:
    assert values(SeriesName.THROUGHPUT, {FIRST: busy(4, seconds=5)}, seconds=20, samples=1) == [0.8]


def test_levels_are_means_over_time() -> None:
    assert values(SeriesName.IN_FLIGHT, {FIRST: busy(1), FIRST + 1: busy(0)}, seconds=20, samples=1) == [2]


def test_no_requests_have_no_latency() -> None:
    assert values(SeriesName.LATENCY_P95, {FIRST: busy(0)}, seconds=10, samples=1) == [None]


def test_a_quantile_comes_from_all_slots_of_the_sample() -> None:
    slots = {FIRST: busy(99, latency_ms=100), FIRST + 1: busy(1, latency_ms=9000)}
    (p50,) = values(SeriesName.LATENCY_P50, slots, seconds=20, samples=1)
    (p99,) = values(SeriesName.LATENCY_P99, slots, seconds=20, samples=1)
    assert p50 is not None
    assert p99 is not None
    assert upper_bound(bucket(100) - 1) < p50 <= p99 <= round(upper_bound(bucket(100)), 3)


def test_replicas_are_known_without_any_traffic() -> None:
    slot = Slot()
    slot.take_fleet(NOW_MS, 10, desired=3, ready=1)
    assert values(SeriesName.REPLICAS_DESIRED, {FIRST: slot}, seconds=10, samples=1) == [3]
    assert values(SeriesName.REPLICAS_READY, {FIRST: slot}, seconds=10, samples=1) == [1]
    assert values(SeriesName.REQUESTS, {FIRST: slot}, seconds=10, samples=1) == [None]


def test_every_series_reads_a_gap_of_nothing_and_each_has_a_reader() -> None:
    spans = Spans(NOW_MS, NOW_MS + 10_000, 1, NOW_MS + DAY_MS)
    for series in read_series(tuple(SeriesName), {}, FINE, spans):
        assert [each.value for each in series.samples] == [None]


def test_samples_carry_the_end_of_their_span() -> None:
    spans = Spans(NOW_MS, NOW_MS + 20_000, 2, NOW_MS + DAY_MS)
    (series,) = read_series([SeriesName.REQUESTS], {}, FINE, spans)
    assert [datetime.fromtimestamp((NOW_MS + each) / 1000, UTC) for each in (10_000, 20_000)] == [
        each.at for each in series.samples
    ]


@pytest.mark.parametrize(
    ("age_seconds", "expected"),
    [
        (600, FINE),
        (6 * 3600, FINE),
        (6 * 3600 + 1, MINUTE),
        (7 * 86400, MINUTE),
        (8 * 86400, HOUR),
        (400 * 86400, HOUR),
    ],
)
def test_the_finest_that_reaches_back_answers(age_seconds: int, expected: Resolution) -> None:
    assert expected is resolution_for(start_ms=NOW_MS - age_seconds * 1000, now_ms=NOW_MS)


def test_the_slot_under_way_counts_in_full_up_to_now() -> None:
    spans = Spans(NOW_MS - 56_000, NOW_MS + 4_000, 1, NOW_MS + 4_000)
    (series,) = read_series([SeriesName.REQUESTS], {FIRST: busy(6, seconds=4)}, FINE, spans)
    assert [each.value for each in series.samples] == [6]


def test_what_is_kept_is_what_is_promised() -> None:
    assert [(each.slot_seconds, each.kept_seconds) for each in RESOLUTIONS] == [
        (10, 6 * 3600),
        (60, 7 * 86400),
        (3600, 90 * 86400),
    ]


class Asked(dict[int, Slot]):
    """Slots that count how often they were asked for."""

    times = 0

    def get(self, key: int, default: Slot | None = None) -> Slot | None:  # type: ignore[override]  # narrower on purpose
        self.times += 1
        return super().get(key, default)


def test_a_question_about_a_year_costs_no_more_than_what_was_recorded() -> None:
    slots = Asked({FIRST: busy(4), FIRST + 2: busy(1)})
    spans = Spans(NOW_MS - 364 * DAY_MS, NOW_MS + DAY_MS, 3, NOW_MS + DAY_MS)
    (series,) = read_series([SeriesName.REQUESTS], slots, FINE, spans)
    assert [each.value for each in series.samples if each.value is not None] == [5]
    assert slots.times <= 3 * 3
