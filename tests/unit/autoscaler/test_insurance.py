"""More than are missing are asked for where launches come to nothing, as many as it takes, and only then."""

from dataclasses import replace

import pytest

from bench.autoscaler.boots import Boots
from hostler_autoscaler.decide import decide
from hostler_autoscaler.insurance import insurance
from hostler_autoscaler.observation import Observation
from hostler_autoscaler.policy_state import PolicyState
from tests.unit.autoscaler.policy_runs import RPS, load, scaling, seen


def looked(ready: int, failed: int, launches: int) -> Observation:
    return replace(seen(load(), desired=ready), failed_boots=failed, launches=launches)


@pytest.mark.parametrize(
    ("ready", "failed", "launches", "more"),
    [
        (3, 0, 20, 0),
        (3, 6, 20, 3),
        (10, 6, 20, 0),
        (12, 6, 20, 0),
        (9, 6, 20, 0),
        (3, 1, 1, 2),
        (3, 15, 20, 0),
    ],
    ids=["none failed", "some failed", "none missing", "too many", "one missing", "a first one", "no chance"],
)
def test_of_ten_that_are_needed(ready, failed, launches, more):
    assert insurance(looked(ready, failed, launches), 10) == more


def test_they_are_asked_for_at_once_and_told():
    observation = replace(looked(2, 6, 20), load=load(34))
    _, decision = decide(PolicyState(), observation, scaling(RPS, maximum=20))
    assert decision.replicas == 7 + 2
    assert decision.reason.endswith("; 2 more, since 6 of the last 20 did not come")


def test_they_stay_for_the_window_though_those_that_were_needed_have_come():
    state, asked = decide(PolicyState(), replace(looked(2, 6, 20), load=load(34)), scaling(RPS, maximum=20))
    assert state.peaks.highest(0) == pytest.approx(34 / 5 + 2)
    bounded, _ = decide(PolicyState(), replace(looked(2, 6, 20), load=load(34)), scaling(RPS, maximum=8))
    assert (asked.replicas, bounded.peaks.highest(0)) == (9, 8)


def test_those_that_start_are_not_asked_for_again():
    observation = replace(
        seen(load(34), desired=9, ready=2, starting=(10.0,) * 7), failed_boots=6, launches=20
    )
    _, decision = decide(PolicyState(), observation, scaling(RPS, maximum=20))
    assert decision.replicas == 9


def test_asking_for_more_than_the_load_needs_is_no_regret():
    state = PolicyState()
    state = replace(state, backoff=state.backoff.went_down(seen(load()).now.timestamp() - 10))
    observation = replace(
        seen(load(34), desired=7, ready=2, starting=(10.0,) * 5), failed_boots=6, launches=20
    )
    after, decision = decide(state, observation, scaling(RPS, maximum=20))
    assert decision.replicas == 9
    assert after.backoff.level == 0


# What a simulator shows of boots


def boots(*looks: tuple[float, int, list[float]], lowered: bool = False) -> Boots:
    found = Boots()
    for now, ready, ages in looks:
        found.seen(now, ready, ages, lowered=lowered)
    return found


def test_a_replica_that_starts_no_more_and_serves_has_come():
    found = boots((0, 2, []), (10, 2, [5.0, 5.0]), (180, 4, []))
    assert (found.failed, found.launches) == (0, 2)


def test_one_that_starts_no_more_and_does_not_serve_has_failed_though_another_was_launched():
    found = boots((0, 2, []), (10, 2, [10.0, 5.0]), (190, 3, [3.0]))
    assert (found.failed, found.launches) == (1, 2)


def test_one_that_goes_on_starting_is_neither():
    assert boots((0, 2, [1.0]), (10, 2, [11.0]), (20, 2, [21.0])).launches == 0


def test_after_a_scale_down_nothing_is_judged():
    assert boots((0, 2, [1.0]), (10, 2, []), lowered=True).launches == 0
