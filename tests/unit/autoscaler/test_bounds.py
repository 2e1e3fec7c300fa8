"""Which bounds hold when: windows of the schedule in their time zones, holds, and what comes before what."""

from datetime import UTC, datetime, timedelta

import pytest

from hostler_autoscaler.bounds import bounds_at, is_open
from hostler_autoscaler.look import scalable
from hostler_domain.job import ScaleHold
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from hostler_domain.scheduled_bounds import ScheduledBounds
from tests.support.builders import created, fold, ready, scheduled

RPS = (ScalingTarget(ScalingMetric.THROUGHPUT, 5.0),)
WORK = ScheduledBounds("0 8 * * 1-5", 10 * 3600, "Europe/Berlin", min_replicas=4)
NIGHT = ScheduledBounds("0 22 * * *", 8 * 3600, "Europe/Berlin", max_replicas=2)


def job(*windows: ScheduledBounds, minimum: int = 1, targets: tuple[ScalingTarget, ...] = RPS) -> Scaling:
    return Scaling(
        min_replicas=minimum,
        max_replicas=8,
        initial_replicas=max(minimum, 1),
        activation_replicas=max(minimum, 1),
        targets=targets,
        schedule=windows,
    )


def moment(text: str) -> datetime:
    """In UTC; in November Berlin is one hour ahead, in July two."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def limits(scaling: Scaling, now: datetime, hold: ScaleHold | None = None) -> tuple[int, int]:
    found = bounds_at(scaling, now, hold=hold).scaling
    return found.min_replicas, found.max_replicas


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param("2026-11-20T06:59:59", (1, 8), id="friday before eight"),
        pytest.param("2026-11-20T07:00:00", (4, 8), id="friday at eight"),
        pytest.param("2026-11-20T16:59:59", (4, 8), id="friday before six"),
        pytest.param("2026-11-20T17:00:00", (1, 8), id="friday at six"),
        pytest.param("2026-11-21T09:00:00", (1, 8), id="saturday"),
        pytest.param("2026-07-10T06:00:00", (4, 8), id="summer is an hour earlier"),
    ],
)
def test_a_window_is_open_in_its_own_time_zone(now: str, expected: tuple[int, int]) -> None:
    assert limits(job(WORK), moment(now)) == expected


@pytest.mark.parametrize(
    ("opened", "hours"),
    [
        pytest.param("2026-03-28T22:00:00", 8, id="the clock is put forward meanwhile"),
        pytest.param("2026-10-24T20:00:00", 8, id="the clock is put back meanwhile"),
    ],
)
def test_a_window_lasts_as_long_as_it_says_whatever_the_clocks_do(opened: str, hours: int) -> None:
    night = ScheduledBounds(
        "0 23 28 3 *" if "03-28" in opened else "0 22 24 10 *", hours * 3600, "Europe/Berlin", 2
    )
    begin = moment(opened)
    minutes = [minute for minute in range(-120, 720) if is_open(night, begin + timedelta(minutes=minute))]
    assert minutes == list(range(hours * 60))


def test_where_windows_overlap_the_narrowest_bounds_hold() -> None:
    wide = ScheduledBounds("0 0 * * *", 24 * 3600, min_replicas=2, max_replicas=6)
    narrow = ScheduledBounds("0 12 * * *", 3600, min_replicas=3, max_replicas=5)
    assert limits(job(wide, narrow), moment("2026-11-20T12:30:00")) == (3, 5)
    assert limits(job(wide, narrow), moment("2026-11-20T13:00:00")) == (2, 6)


def test_where_bounds_cross_the_minimum_holds() -> None:
    low = ScheduledBounds("0 0 * * *", 24 * 3600, max_replicas=2)
    high = ScheduledBounds("0 0 * * *", 24 * 3600, min_replicas=5)
    assert limits(job(low, high), moment("2026-11-20T12:30:00")) == (5, 5)


def test_a_job_without_targets_has_what_the_schedule_says() -> None:
    scheduled = job(WORK, targets=())
    assert limits(scheduled, moment("2026-11-20T09:00:00")) == (4, 4)
    assert limits(scheduled, moment("2026-11-21T09:00:00")) == (1, 1)
    assert limits(job(targets=()), moment("2026-11-21T09:00:00")) == (1, 8)


def test_a_window_wakes_a_job_that_sleeps() -> None:
    found = bounds_at(job(WORK, minimum=0), moment("2026-11-20T09:00:00")).scaling
    assert (found.min_replicas, found.activation_replicas) == (4, 4)


def test_a_hold_comes_before_any_window_until_it_is_over() -> None:
    now = moment("2026-11-20T09:00:00")
    hold = ScaleHold(2, now + timedelta(hours=1))
    assert limits(job(WORK), now, hold) == (2, 2)
    assert limits(job(WORK), hold.until, hold) == (4, 8)
    assert "until 2026-11-20T10:00:00Z" in bounds_at(job(WORK), now, hold=hold).reasons[0]


def test_a_hold_stays_within_bounds_that_came_later() -> None:
    now = moment("2026-11-20T09:00:00")
    assert limits(job(minimum=3), now, ScaleHold(2, now + timedelta(hours=1))) == (3, 3)
    assert limits(job(), now, ScaleHold(9, now + timedelta(hours=1))) == (8, 8)


def test_the_reasons_name_every_window_that_is_open() -> None:
    found = bounds_at(job(WORK, NIGHT), moment("2026-11-20T09:00:00"))
    assert found.reasons == ("schedule '0 8 * * 1-5' (Europe/Berlin): at least 4",)
    assert bounds_at(job(WORK, NIGHT), moment("2026-11-20T19:00:00")).reasons == ()


def test_a_window_that_no_calendar_knows_is_never_open() -> None:
    for window in (
        ScheduledBounds("0 0 30 2 *", 3600, min_replicas=2),
        ScheduledBounds("* * * * *", 3600, "Mars/Olympus", min_replicas=2),
    ):
        assert not is_open(window, moment("2026-11-20T09:00:00"))


def test_a_job_without_targets_is_looked_at_for_the_sake_of_its_schedule() -> None:
    scaling = job(WORK, targets=())
    assert scalable(fold(created(scaling=scaling), scheduled(), ready()))
    assert not scalable(fold(created(scaling=job(targets=())), scheduled(), ready()))
