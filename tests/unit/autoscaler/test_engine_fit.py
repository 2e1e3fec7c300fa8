"""What answers cost, learned from samples, and what a replica carries by it."""

import pytest

from hostler_autoscaler.carried import Aim, carried, outstanding_at, rate_at
from hostler_autoscaler.engine_fit import LEVEL_WEIGHT_MAX, EngineFit, Line
from hostler_autoscaler.shape import Shape, updated


def fitted(*samples: tuple[float, float], times: int = 5) -> EngineFit:
    fit = EngineFit()
    for _ in range(times):
        for x, unit_ms in samples:
            fit = fit.with_sample(x, unit_ms)
    return fit


def test_a_line_is_found_again():
    line = fitted((2, 24), (5, 30), (10, 40)).line()
    assert (line.alpha, line.beta, line.x_max) == (pytest.approx(20), pytest.approx(2), 10)


@pytest.mark.parametrize(
    "samples", [(), ((10, 40),), ((10, 40), (14, 48))], ids=["nothing", "one level", "a narrow span"]
)
def test_without_enough_to_go_by_there_is_no_line(samples):
    assert fitted(*samples).line() is None


def test_a_few_samples_are_no_line():
    assert fitted((2, 24), (10, 40), times=2).line() is None


def test_a_sample_of_few_requests_counts_for_less():
    fit = fitted((2, 24), (10, 40), times=10)
    full, light = fit.with_sample(10, 80), fit.with_sample(10, 80, 0.1)
    assert full.levels[1].unit_ms > light.levels[1].unit_ms > 40


def test_samples_of_nearly_nothing_are_left_out():
    assert EngineFit().with_sample(0.1, 20) == EngineFit()


def test_the_calm_of_the_night_is_kept_through_a_day_of_load():
    fit = fitted((1, 22), (10, 40), times=10)
    for _ in range(2000):
        fit = fit.with_sample(12, 44)
    assert fit.line().alpha == pytest.approx(20, rel=0.02)


def test_one_sample_of_calm_holds_against_a_day_of_load_that_looks_like_no_base_at_all():
    fit = fitted((1, 22), (10, 40), (12, 48), (15, 60), times=20)
    for _ in range(700):
        fit = fit.with_sample(10, 40).with_sample(12, 48).with_sample(15, 60)
    assert fit.line().alpha > 10


def test_a_level_follows_an_engine_that_was_changed():
    fit = fitted((2, 24), (10, 40), times=20)
    for _ in range(int(LEVEL_WEIGHT_MAX) * 4):
        fit = fit.with_sample(2, 48).with_sample(10, 80)
    line = fit.line()
    assert (line.alpha, line.beta) == (pytest.approx(40, rel=0.05), pytest.approx(4, rel=0.05))


def test_more_at_a_time_at_no_cost_has_no_slope():
    assert fitted((2, 30), (10, 28)).line() == Line(28, 0.0, 10)


def test_what_is_steeper_than_a_line_through_nothing_keeps_a_base():
    line = fitted((2, 10), (10, 100)).line()
    assert line.alpha == pytest.approx(2)
    assert line.beta > 0


# What a replica carries

LINE = Line(20.0, 2.0, 20.0)
SHORT = Shape(mean=100, p50=80, p95=250, weight=600)


def test_rate_and_requests_at_a_time_follow_from_each_other():
    # 10 at a time, 100 units of 40 ms each: 10 in 4 s.
    assert rate_at(LINE, SHORT, 10) == pytest.approx(2.5)
    assert outstanding_at(LINE, SHORT, 2.5) == pytest.approx(10)


def test_beyond_what_a_replica_can_do_at_all_there_is_no_number():
    assert outstanding_at(LINE, SHORT, 5.0) is None


def test_the_p95_stays_below_its_target():
    found = carried(LINE, SHORT, 10_000, x_limit=100)
    assert found.p95_ms <= 9500
    assert not found.content_bound
    assert found.in_time >= 0.95


def test_hours_do_not_buy_a_p95_above_its_target():
    found = carried(LINE, SHORT, 10_000, x_limit=100, aim=Aim(p95_share=1.0, careful_points=60))
    assert 9000 < found.p95_ms <= 10_000


def test_a_p95_that_replicas_hardly_help_is_not_pursued():
    found = carried(LINE, SHORT, 5400, x_limit=100)
    assert not found.content_bound
    assert LINE.unit_ms(found.x) > 1.2 * LINE.alpha


def test_a_stricter_target_leaves_less():
    rates = [carried(LINE, SHORT, target, x_limit=100).rps for target in (7000, 10_000, 15_000)]
    assert rates == sorted(rates)
    assert rates[0] < rates[2]


def test_the_line_is_not_followed_beyond_its_limit():
    assert carried(LINE, SHORT, 100_000, x_limit=12.5).x == 12.5


def test_answers_that_are_too_long_for_any_replica_are_said_so_and_not_bought_for_without_end():
    found = carried(LINE, SHORT, 4500, x_limit=100)
    assert found.content_bound
    # A replica for each request would be at 20 ms, and cost far more than it brings.
    assert found.x > 1


def test_longer_answers_leave_less():
    long = Shape(mean=150, p50=120, p95=375, weight=600)
    assert carried(LINE, long, 10_000, x_limit=100).rps < carried(LINE, SHORT, 10_000, x_limit=100).rps


# The shape of the content


def test_the_share_in_time_is_95_percent_where_the_p95_is_at_its_target():
    assert SHORT.in_time(40, 10_000) == pytest.approx(0.95, abs=1e-4)
    assert SHORT.in_time(20, 10_000) > 0.99
    assert SHORT.in_time(80, 10_000) < 0.9


def test_a_shape_follows_by_requests_and_by_time():
    before = Shape(100, 80, 250, 2000)
    few = updated(before, mean=200, p50=160, p95=500, completions=20, seconds=30)
    many = updated(before, mean=200, p50=160, p95=500, completions=2000, seconds=30)
    later = updated(before, mean=200, p50=160, p95=500, completions=20, seconds=7200)
    assert 100 < few.mean < 105
    assert 145 < many.mean < 155
    assert later.mean > 140
