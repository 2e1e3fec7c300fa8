"""How many requests are late, told by two percentiles."""

from dataclasses import replace

import pytest

from hostler_autoscaler.capacity import Capacity
from hostler_autoscaler.demand import demanded
from hostler_autoscaler.lateness import late_per_second
from hostler_autoscaler.learning import sensed
from hostler_autoscaler.observation import LoadSignals
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.scene import Scene
from tests.unit.autoscaler.policy_runs import load, seen


def scene(told: LoadSignals, *, target_ms: float | None = 1000.0) -> Scene:
    state, observation = PolicyState(), seen(told)
    units = sensed(state, told, observation.ready)
    return Scene(
        state=state,
        observation=observation,
        load=told,
        sensed=units,
        demand=demanded(state.rates, units.rate, units.rate_20, seconds=60),
        capacity=Capacity(None, None, None, None),
        now=0.0,
        latency_ms=target_ms,
        cold_start_seconds=60.0,
        arriving_seconds=60.0,
        overdue=0,
    )


def test_half_of_the_requests_are_late_when_the_median_is_at_the_target_and_a_twentieth_may_be():
    told = replace(load(10), p50_ms=1000.0, p95_ms=3000.0)
    assert late_per_second(scene(told)) == pytest.approx(10 * (0.5 - 0.05))


@pytest.mark.parametrize(
    ("p95_ms", "target_ms"),
    [(1000.0, 1000.0), (None, 1000.0), (9000.0, None)],
    ids=["kept", "unknown", "no target"],
)
def test_nobody_is_late_where_the_target_is_kept_or_nothing_is_known(p95_ms, target_ms):
    told = replace(load(10), p50_ms=900.0, p95_ms=p95_ms)
    assert late_per_second(scene(told, target_ms=target_ms)) == 0
