"""Traffic, conditions and policies for the tests of the simulator."""

from collections.abc import Callable
from random import Random
from typing import Any

from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.engine import EngineModel
from hostler_autoscaler.simulation.history import Observed
from hostler_autoscaler.simulation.outcome import Outcome
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import Traffic, of_rows

ENGINE = EngineModel(alpha_ms=20.0, beta_ms=1.0)


class Says:
    """A policy that answers as a function of what it is shown, and keeps that."""

    def __init__(self, answer: Callable[[Observed], int | None], interval: float = 10.0) -> None:
        self.interval = interval
        self.reason = "because"
        self.seen: list[Observed] = []
        self._answer = answer

    def decide(self, obs: Observed) -> int | None:
        self.seen.append(obs)
        return self._answer(obs)


def conditions(**changes: Any) -> Conditions:
    values: dict[str, Any] = {
        "engine": ENGINE,
        "target_rps": 1.0,
        "target_latency_ms": 10_000.0,
        "cold_start_spread": 0.0,
        **changes,
    }
    return Conditions(**values)


def poisson(
    seconds: float, rate: float, seed: int, answer: Callable[[Random], int] = lambda _: 100
) -> Traffic:
    rng = Random(seed)
    rows, at = [], 0.0
    while (at := at + rng.expovariate(rate)) < seconds:
        rows.append((at, 0, answer(rng)))
    return of_rows(seconds, rows)


def served(
    traffic: Traffic, policy: Says | None = None, *, seed: int = 1, **changes: Any
) -> tuple[Outcome, Says]:
    """What came of it, and the policy; without one the number stays."""
    policy = policy or Says(lambda _: None)
    return run(traffic, conditions(**changes), policy, draw=Random(seed).random), policy
