"""To zero and back."""

from dataclasses import replace

import pytest

from hostler_autoscaler.decide import decide
from hostler_autoscaler.policy_state import PolicyState
from tests.support.builders import at
from tests.unit.autoscaler.policy_runs import IN_FLIGHT, NO_DATA, RPS, Run, load, scaling, seen


def sleeper(**more):
    return scaling(RPS, minimum=0, maximum=5, **more)


def slept(seconds: float) -> PolicyState:
    when = at(seconds).timestamp()
    return PolicyState(observed_at=when, valid_since=at(-3600).timestamp(), slept_at=when)


@pytest.mark.parametrize(
    ("more", "after"),
    [({}, 300), ({"sleep_after": 60}, 60), ({"sleep_after": 900}, 900)],
    ids=["stabilisation window", "shorter", "longer"],
)
def test_an_idle_job_falls_asleep(more, after):
    run = Run(sleeper(**more)).go(1000, load(0))
    assert run.changes == [(after, 0)]
    told = next(decision for _, decision in run.decisions if decision.replicas == 0)
    assert told.reason == f"asleep: no request for {after} s"
    assert [each.kind for each in told.proposals] == ["idle"]


def test_a_job_with_a_minimum_never_sleeps():
    assert Run(scaling(RPS)).go(4000, load(0)).current == 1


@pytest.mark.parametrize(
    "told", [load(0.1), load(0, in_flight=1), load(0, queued=1)], ids=["coming", "long", "waiting"]
)
def test_requests_keep_it_awake(told):
    assert Run(sleeper(sleep_after=60)).go(600, told).changes == []


def test_it_is_idle_since_the_last_request_and_not_since_the_minute_that_remembers_it():
    run = Run(sleeper(sleep_after=60)).go(100, load(1)).go(30, load(0.2, rps_20=0, idle_seconds=5))
    assert run.current == 1


def test_time_without_news_is_not_idle_time():
    run = Run(sleeper(sleep_after=60)).go(50, load(0)).go(200, NO_DATA).go(60, load(0))
    assert run.changes == []


def test_a_replica_that_loads_for_a_waiting_request_is_not_sent_to_sleep():
    run = Run(sleeper(sleep_after=30), current=0, cold=180, state=slept(-60))
    run.go(10, load(0.02, queued=1)).go(190, load(0))
    assert run.changes == [(0, 1)]
    assert run.go(40, load(0)).current == 0


def test_a_request_wakes_it():
    run = Run(sleeper(sleep_after=60, activation=2)).go(100, load(0))
    assert run.current == 0
    run.go(10, load(0.02))
    assert run.current == 2
    assert run.last.reason == "awake with 2: a request came"


def test_it_wakes_to_as_many_as_the_load_needs():
    assert Run(sleeper(), current=0).go(10, load(18)).current == 4
    told = seen(load(queued=20), desired=0)
    _, decision = decide(slept(-60), told, scaling(IN_FLIGHT, minimum=0, maximum=5))
    assert decision.replicas == 3


def test_what_it_woke_with_stays_for_the_window():
    run = Run(sleeper(activation=3), current=0).go(10, load(0.1)).go(290, load(0.1))
    assert run.changes == [(0, 3)]
    assert run.go(200, load(0.1)).current == 1


def test_requests_from_before_it_slept_do_not_wake_it():
    told = seen(load(0.1, rps_20=0, idle_seconds=7), desired=0, seconds=2)
    _, decision = decide(slept(0), told, sleeper())
    assert decision.replicas == 0


@pytest.mark.parametrize(
    "told", [load(queued=1, idle_seconds=9), load(in_flight=1)], ids=["waiting", "under way"]
)
def test_a_request_that_has_not_ended_wakes_it_though_its_routers_clock_is_behind(told):
    _, decision = decide(slept(0), seen(told, desired=0, seconds=2), sleeper())
    assert decision.replicas == 1


def test_asleep_without_news_it_sleeps_on():
    _, decision = decide(slept(0), seen(NO_DATA, desired=0, seconds=10), sleeper())
    assert decision.replicas == 0


def test_a_schedule_that_lets_it_sleep_no_more_wakes_it():
    _, decision = decide(slept(0), seen(load(0), desired=0, seconds=10), replace(sleeper(), min_replicas=2))
    assert decision.replicas == 2
