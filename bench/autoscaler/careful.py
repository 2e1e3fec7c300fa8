"""The `target_rps` of a careful user: who loads a few replicas evenly until the 95th percentile comes close to the target, and stays below that."""

from dataclasses import replace
from math import sqrt
from random import Random

from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.references.fixed import FixedAtMax
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import Traffic, of_rows

_REPLICAS = 4
_REQUESTS = 6000
_P95_SHARE = 0.8
_TRIES = 9


def target_of(content: Traffic, conditions: Conditions) -> tuple[float, float]:
    """The rate per replica at which p95 is 80 % of its target, rounded, and how many requests a replica then has under way.

    Args:
        content: Where the lengths of prompts and answers are taken from.
        conditions: Engine and target latency; the rest does not matter.
    """
    low, high = 0.02, 50.0
    for _ in range(_TRIES):
        rate = sqrt(low * high)
        p95_ms, _ = _loaded(content, conditions, rate)
        if p95_ms <= _P95_SHARE * conditions.target_latency_ms:
            low = rate
        else:
            high = rate
    target = float(f"{low:.2g}")
    return target, max(1.0, _loaded(content, conditions, target)[1])


def _loaded(content: Traffic, conditions: Conditions, rate: float) -> tuple[float, float]:
    """The 95th percentile, and the requests under way per replica."""
    rng = Random(1)
    rows, at = [], 0.0
    for _ in range(_REQUESTS):
        at += rng.expovariate(rate * _REPLICAS)
        pick = rng.randrange(len(content))
        rows.append((at, content.prompts[pick], content.answers[pick]))
    even = replace(
        conditions,
        min_replicas=_REPLICAS,
        max_replicas=_REPLICAS,
        initial_replicas=_REPLICAS,
        outages=(),
        life_seconds=None,
    )
    outcome = run(of_rows(at, rows), even, FixedAtMax(), draw=rng.random)
    under_way = [sample.outstanding for sample in outcome.samples[len(outcome.samples) // 4 :]]
    p95_ms = outcome.p95_ms if outcome.p95_ms is not None else 0.0
    return p95_ms, sum(under_way) / max(1, len(under_way)) / _REPLICAS
