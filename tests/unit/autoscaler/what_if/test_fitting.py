"""What a replica is taken to be like where its load never varied enough to learn it."""

import pytest

from hostler_autoscaler.engine_fit import EngineFit, Level
from hostler_autoscaler.observation import LoadSignals, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.shape import Shape
from hostler_autoscaler.what_if.fitting import MEASURED_SLACK, Fitted, fitted
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import NOW

TOKENS = 10.0
USUAL_X, USUAL_MS = 0.8, 50.0
STATE = PolicyState(
    engine=EngineFit((Level(USUAL_X, USUAL_MS, 3.0),)),
    shape=Shape(mean=TOKENS, p50=9.5, p95=10.5, weight=100.0),
)
TARGETS = Scaling(
    max_replicas=4,
    targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 2.0), ScalingTarget(ScalingMetric.LATENCY_P95, 5000.0)),
)


def seen(x: float, unit_ms: float, *, queued: int = 0) -> Observation:
    """One replica with so many requests at a time, a token of which took so long."""
    load = LoadSignals(
        rps=x,
        in_flight=round(x),
        queued=queued,
        concurrency=x,
        completions=60,
        mean_ms=unit_ms * TOKENS,
        token_ms=unit_ms,
    )
    return Observation(now=NOW, desired=1, ready=1, load=load)


def guess(*loads: Observation) -> Fitted:
    found = fitted(STATE, loads, TARGETS)
    assert isinstance(found, Fitted)
    assert found.guessed
    assert found.engine.alpha_ms + found.engine.beta_ms * USUAL_X == pytest.approx(USUAL_MS)
    return found


def test_where_nothing_else_is_known_the_targets_are_believed() -> None:
    assert guess(seen(USUAL_X, USUAL_MS)).engine.beta_ms > 40


@pytest.mark.parametrize("other_x", [0.3, 2.0, 8.0])
def test_a_guess_never_contradicts_what_was_measured_at_another_load(other_x: float) -> None:
    engine = guess(seen(USUAL_X, USUAL_MS), seen(other_x, 52.0)).engine
    assert engine.alpha_ms + engine.beta_ms * other_x == pytest.approx(52.0, rel=MEASURED_SLACK + 1e-6)


def test_a_load_that_waited_tells_nothing_of_the_replica() -> None:
    usual = seen(USUAL_X, USUAL_MS)
    assert guess(usual, seen(8.0, 52.0, queued=5)).engine == guess(usual).engine


def test_less_than_measured_nothing_is_slower_with_more_requests() -> None:
    assert guess(seen(USUAL_X, USUAL_MS), seen(8.0, 20.0)).engine.beta_ms == 0
