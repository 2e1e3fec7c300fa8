"""The recorded life of a job whose engine and traffic are known, for tests of what is made of records."""

from datetime import timedelta
from functools import cache
from math import pi, sin
from random import Random

from hostler_autoscaler.decide import decide
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.records import Made, record_of
from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.engine import EngineModel
from hostler_autoscaler.simulation.history import Observed
from hostler_autoscaler.simulation.outcome import Outcome
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import of_rows
from hostler_autoscaler.what_if.policies import observation_of
from hostler_contracts.decisions import DecisionRecord
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import NOW

HOURS = 3
END = NOW + timedelta(hours=HOURS)
ENGINE = EngineModel(alpha_ms=20.0, beta_ms=0.8)
RECORDED_SCALING = Scaling(
    min_replicas=1,
    max_replicas=8,
    targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 2.0), ScalingTarget(ScalingMetric.LATENCY_P95, 15000.0)),
)


class Recording:
    """The real policy, with a record of each minute and change, as the service writes them."""

    interval = 10.0
    reason = ""

    def __init__(self) -> None:
        self.records: list[DecisionRecord] = []
        self._state = PolicyState()
        self._desired = 1

    def decide(self, obs: Observed) -> int:
        seen = observation_of(obs, NOW + timedelta(seconds=obs.t), self._desired)
        after, decision = decide(self._state, seen, RECORDED_SCALING)
        if obs.t % 60 == 0 or decision.replicas != self._desired:
            self.records.append(record_of(Made(self._state, seen, RECORDED_SCALING, decision)))
        self._state, self._desired = after, decision.replicas
        return decision.replicas


@cache
def lived() -> tuple[tuple[DecisionRecord, ...], Outcome]:
    """What was recorded of some hours, and what came of them."""
    rng = Random(7)
    rows, at = [], 0.0
    while at < HOURS * 3600:
        at += rng.expovariate(5.0 + 4.0 * sin(2 * pi * at / (HOURS * 1800)))
        rows.append((at, 0, max(round(rng.lognormvariate(5.0, 0.6)), 1)))
    policy = Recording()
    conditions = Conditions(
        engine=ENGINE,
        target_rps=2.0,
        target_latency_ms=15000.0,
        max_replicas=8,
        cold_start_seconds=90.0,
    )
    outcome = run(of_rows(HOURS * 3600, rows), conditions, policy, draw=rng.random)
    return tuple(policy.records), outcome
