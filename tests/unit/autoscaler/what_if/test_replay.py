"""A job whose engine and traffic are known is recorded, and what is made of the records is held against what is known."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from random import Random

import pytest

from hostler_autoscaler.simulation.references.catalogue import REFERENCES
from hostler_autoscaler.what_if.replay import Material, what_if
from hostler_contracts.decisions import DecisionRecord
from hostler_contracts.load import LoadWindow
from hostler_contracts.what_if import ReplayPolicy, SimulationAnswer, SimulationQuestion
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from hostler_domain.scheduled_bounds import ScheduledBounds
from tests.support.builders import JOB_ID, NOW
from tests.support.recorded_life import END, ENGINE, HOURS, lived
from tests.support.recorded_life import RECORDED_SCALING as SCALING


def draws(number: int) -> Callable[[], float]:
    return Random(number).random


def asked(
    records: tuple[DecisionRecord, ...] | None = None,
    *,
    scaling: Scaling = SCALING,
    policy: ReplayPolicy = ReplayPolicy.HOSTLER,
    windows: tuple[LoadWindow, ...] = (),
    back_seconds: float = HOURS * 3600 + 60,
    now: datetime = END,
) -> SimulationAnswer:
    question = SimulationQuestion(
        project="default", job_id=JOB_ID, scaling=scaling, policy=policy, back_seconds=back_seconds
    )
    material = Material(lived()[0] if records is None else records, windows, SCALING)
    return what_if(question, material, now=now, draws=draws)


@cache
def as_it_is() -> SimulationAnswer:
    return asked()


def test_the_engine_and_the_content_are_found_again() -> None:
    engine = as_it_is().engine
    assert engine is not None
    assert (engine.unit, engine.guessed) == ("tokens", False)
    assert engine.alpha_ms == pytest.approx(ENGINE.alpha_ms, rel=0.2)
    assert engine.beta_ms == pytest.approx(ENGINE.beta_ms, rel=0.35)
    assert engine.units_per_request == pytest.approx(2.718281828**5.18, rel=0.15)


def test_the_traffic_is_found_again() -> None:
    found, outcome = as_it_is(), lived()[1]
    assert found.requests == pytest.approx(outcome.requests, rel=0.05)
    assert found.unknown_seconds < 120
    rates = [each.rps for each in found.traffic]
    assert max(rates) == pytest.approx(9.0, rel=0.25)
    assert min(rates[1:-1]) == pytest.approx(1.0, abs=0.6)


def test_what_was_is_replayed_as_it_was() -> None:
    was, outcome = as_it_is().was, lived()[1]
    assert was is not None
    assert was.attainment is not None
    assert was.attainment == pytest.approx(outcome.attainment, abs=4)
    assert was.replica_hours == pytest.approx(outcome.replica_hours, rel=0.1)


def test_the_same_settings_lead_to_nearly_the_same() -> None:
    found = as_it_is()
    assert found.was is not None
    assert found.would is not None
    assert found.would.replica_hours == pytest.approx(found.was.replica_hours, rel=0.2)


def test_a_higher_target_takes_fewer_replicas() -> None:
    high = replace(
        SCALING,
        targets=(
            ScalingTarget(ScalingMetric.THROUGHPUT, 6.0),
            ScalingTarget(ScalingMetric.LATENCY_P95, 60000.0),
        ),
    )
    usual, fewer = as_it_is().would, asked(scaling=high).would
    assert usual is not None
    assert fewer is not None
    assert fewer.replica_hours < 0.8 * usual.replica_hours


def test_another_systems_rule_can_be_tried() -> None:
    answer = asked(policy=ReplayPolicy.HPA)
    assert answer.refusal == ""
    assert answer.would is not None
    assert answer.would.changes > 0
    assert answer.would != as_it_is().would


def test_the_same_question_has_the_same_answer() -> None:
    assert asked().model_dump_json() == as_it_is().model_dump_json()


def test_an_answer_fits_into_a_message() -> None:
    assert len(as_it_is().model_dump_json()) < 500_000


def test_every_policy_that_may_be_named_is_there() -> None:
    assert set(ReplayPolicy) == {ReplayPolicy.HOSTLER, *REFERENCES}


def test_without_records_it_says_so() -> None:
    assert asked(records=()).refusal.startswith(
        "no decision about its number of replicas is recorded since 20"
    )


def test_without_answered_requests_it_says_so() -> None:
    records = tuple(each.model_copy(update={"state": "{}"}) for each in lived()[0][:20])
    assert "too few requests" in asked(records=records).refusal


def test_a_rule_of_requests_per_second_needs_such_a_target() -> None:
    latency = replace(SCALING, targets=SCALING.targets[1:])
    assert "no such target" in asked(scaling=latency, policy=ReplayPolicy.HPA).refusal
    assert asked(scaling=latency).refusal == ""


def test_a_time_that_nobody_recorded_is_told() -> None:
    records = tuple(each for each in lived()[0] if not 3600 <= (each.at - NOW).total_seconds() < 5400)
    answer = asked(records=records)
    assert answer.unknown_seconds == pytest.approx(1800, abs=120)
    assert any("nothing is recorded of" in note for note in answer.notes)


def test_a_time_without_news_is_no_time_without_requests() -> None:
    silent = [
        each.model_copy(update={"observation": {**each.observation, "load": {"reason": "none"}}})
        if 3600 <= (each.at - NOW).total_seconds() < 5400
        else each
        for each in lived()[0]
    ]
    answer = asked(records=tuple(silent))
    assert answer.unknown_seconds == pytest.approx(1800, abs=120)
    assert any("without news" in note for note in answer.notes)


def test_load_windows_tell_of_the_newest_part_and_count_once() -> None:
    begin = END - timedelta(minutes=10)
    windows = [
        LoadWindow(
            router=router,
            job_id=JOB_ID,
            started_at=begin + timedelta(seconds=5 * step),
            seconds=5,
            arrivals=50,
            completed=50,
            failed=0,
            in_flight=0,
        )
        for step in range(120)
        for router in ("a", "b")
    ]
    answer = asked(windows=(*windows, *windows))
    last = [each.rps for each in answer.traffic if each.at >= begin + timedelta(minutes=1)]
    assert last[:8] == [pytest.approx(20.0, abs=0.01)] * 8


def test_the_schedule_opens_at_the_hours_at_which_it_did() -> None:
    window = ScheduledBounds("0 13 * * *", 3600, min_replicas=8)
    answer = asked(scaling=replace(SCALING, schedule=(window,)))
    assert answer.would is not None
    hour = [point.wanted for point in answer.would.points if NOW.hour + 1 == point.at.hour]
    assert hour[1:] == [8] * (len(hour) - 1)
