"""What a policy is shown: windows over what has happened, worked by hand."""

import pytest

from hostler_autoscaler.simulation.engine import EngineModel
from hostler_autoscaler.simulation.outcome import Change, Outcome
from hostler_autoscaler.simulation.traffic import between, of_rows, repeated
from tests.unit.autoscaler.simulation.worlds import Says, served

STEADY = EngineModel(alpha_ms=100.0, beta_ms=0.0)
"""Ten tokens a second, whoever is there."""

THREE = of_rows(200.0, [(5.0, 0, 100), (50.0, 0, 300), (58.0, 0, 10)])
"""From 5 to 15 s, from 50 to 80 s, from 58 to 59 s."""


def at(seconds: float, **changes):
    """What is shown then."""
    _, policy = served(THREE, Says(lambda _: None), engine=STEADY, **changes)
    return next(obs for obs in policy.seen if obs.t == seconds)


def test_rates_are_of_the_window_that_is_asked_for() -> None:
    obs = at(60.0)
    assert (obs.rps, obs.rps_over(20), obs.rps_over(5)) == (3 / 60, 2 / 20, 1 / 5)


def test_concurrency_is_the_mean_of_what_was_under_way() -> None:
    obs = at(60.0)
    # 10 + 10 + 1 request-seconds in a minute; in the last 5 s 5 and 1.
    assert obs.concurrency_over(60) == pytest.approx(21 / 60)
    assert obs.concurrency_over(5) == pytest.approx(6 / 5)


def test_the_busiest_five_seconds_are_those_of_the_last_twenty() -> None:
    # One came in its last five seconds, one ten seconds ago; from 50 s on one was under way, from 58 to 59 s two.
    obs = at(60.0)
    assert obs.busiest(obs.rps_over) == pytest.approx(1 / 5)
    assert obs.busiest(obs.concurrency_over) == pytest.approx(6 / 5)
    # The one from 50 to 80 s is in the last twenty only as what was under way.
    obs = at(90.0)
    assert (obs.busiest(obs.rps_over), obs.busiest(obs.concurrency_over)) == pytest.approx((0, 1))


def test_latencies_are_those_of_requests_that_ended_in_the_last_minute() -> None:
    obs = at(60.0)
    assert obs.completions == 2
    assert (obs.p50_ms, obs.p95_ms, obs.mean_ms) == pytest.approx((10_000, 10_000, 5500))
    assert obs.token_ms == pytest.approx(11_000 / 110)
    later = at(110.0)
    assert (later.completions, later.p95_ms) == (2, pytest.approx(30_000))
    assert (at(150.0).completions, at(150.0).p95_ms, at(150.0).token_ms) == (0, None, None)


def test_what_was_shown_is_not_changed_by_what_comes_after() -> None:
    assert (at(60.0).in_flight, at(60.0).queued) == (1, 0)


def test_without_metrics_everything_but_the_replicas_is_unknown() -> None:
    blind = at(70.0, outages=((65.0, 80.0),))
    assert not blind.metrics_ok
    names = (
        "rps",
        "in_flight",
        "queued",
        "queue_age_s",
        "completions",
        "p50_ms",
        "p95_ms",
        "mean_ms",
        "token_ms",
    )
    assert [getattr(blind, name) for name in names] == [None] * len(names)
    assert (blind.rps_over(10), blind.concurrency_over(10)) == (None, None)
    assert (blind.ready, blind.starting) == (1, 0)
    assert at(80.0, outages=((65.0, 80.0),)).metrics_ok


def test_traffic_is_repeated_with_small_shifts_and_stays_in_order() -> None:
    traffic = repeated(THREE, 3, iter([0.5, 0.1] * 10).__next__)
    assert traffic.arrivals == [5.0, 5.2, 6.0, 50.0, 50.2, 51.0, 58.0, 58.2, 59.0]
    assert traffic.answers == [100] * 3 + [300] * 3 + [10] * 3


def test_a_part_of_traffic_begins_at_zero() -> None:
    part = between(THREE, 50.0, 58.0)
    assert (part.seconds, part.arrivals, part.answers) == (8.0, [0.0], [300])


def test_a_reversal_goes_against_the_change_before_it_within_the_time() -> None:
    moves = [(0, 1, 3), (100, 3, 5), (400, 5, 4), (401, 4, 6), (900, 6, 2)]
    outcome = Outcome(
        0,
        0,
        0,
        0.0,
        0,
        0,
        tuple(Change(at, before, after, "") for at, before, after in moves),
        None,
        None,
        None,
        (),
    )
    assert [outcome.reversals(seconds) for seconds in (0, 1, 299, 300, 499)] == [0, 1, 1, 2, 3]
