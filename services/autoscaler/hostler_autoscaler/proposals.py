"""What each scaling target, taken by itself, wants: a number of replicas and a sentence with the numbers.

Pure; `policy.decide` takes the largest.
"""

import math
from dataclasses import dataclass

from hostler_autoscaler.observe import Load
from hostler_domain.scaling import ScalingMetric, ScalingTarget

THROUGHPUT_SLACK = 0.05
"""Share of a replica by which the rate may exceed a whole number of them: 3.02 replicas' worth of load is served by 3."""
LATENCY_COMPLETIONS_MIN = 5
"""A percentile of fewer requests is chance."""
LATENCY_STEP_MAX = 2.0
"""Latency says that more is needed, not how much, so at most twice as many at a time."""
LATENCY_CALM_SHARE = 0.7
LATENCY_AFTER_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Proposal:
    """A number of replicas, and why."""

    replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """The replicas that there are.

    Attributes:
        desired: How many are asked for.
        ready: How many serve.
        settled: Whether all of them have served for long enough that latencies speak of them.
    """

    desired: int
    ready: int
    settled: bool


def propose(target: ScalingTarget, load: Load, fleet: Fleet) -> Proposal:
    """What `target` wants under `load`."""
    match target.metric:
        case ScalingMetric.THROUGHPUT:
            return _throughput(target, load)
        case ScalingMetric.CONCURRENCY:
            return _concurrency(target, load)
        case ScalingMetric.LATENCY_P95:
            return _latency(target, load, fleet)


def _throughput(target: ScalingTarget, load: Load) -> Proposal:
    replicas = max(math.ceil(load.rps / target.effective - THROUGHPUT_SLACK), 0)
    covered = f" over {load.seconds_covered:.0f} s"
    return Proposal(
        replicas,
        f"throughput: {load.rps:.3g} rps{covered} / {target.effective:g} rps per replica = {_replicas(replicas)}",
    )


def _concurrency(target: ScalingTarget, load: Load) -> Proposal:
    replicas = math.ceil(load.in_flight / target.effective)
    return Proposal(
        replicas,
        f"concurrency: {load.in_flight} in flight / {target.effective:g} per replica = {_replicas(replicas)}",
    )


def _latency(target: ScalingTarget, load: Load, fleet: Fleet) -> Proposal:
    """More while it is too slow, one fewer while it is fast enough that the others can take its share, else as it is.

    | settled | p95 of enough requests            | proposal                              |
    | ------- | --------------------------------- | ------------------------------------- |
    | no      | any                               | as it is: more are starting already   |
    | yes     | too few, and none under way       | one fewer                             |
    | yes     | too few, some under way           | as it is                              |
    | yes     | above the threshold               | ready * p95 / threshold, at most twice|
    | yes     | calm, also with one fewer         | one fewer                             |
    | yes     | between                           | as it is                              |
    """
    stay = fleet.desired
    if not fleet.settled:
        return Proposal(
            stay,
            f"latency: not judged while replicas start or have just started ({fleet.ready} of {fleet.desired} ready)",
        )
    fewer = max(fleet.desired - 1, min(fleet.desired, 1))
    if load.p95_ms is None or load.completions < LATENCY_COMPLETIONS_MIN:
        few = f"latency: {load.completions} completed requests are too few for a p95"
        if load.in_flight:
            return Proposal(stay, f"{few}, {load.in_flight} are under way: as it is")
        return Proposal(fewer, f"{few} and none is under way: {_replicas(fewer)}")
    p95 = f"latency: p95 {load.p95_ms:.0f} ms"
    if load.p95_ms > target.effective:
        factor = min(load.p95_ms / target.effective, LATENCY_STEP_MAX)
        replicas = max(math.ceil(fleet.ready * factor), stay)
        return Proposal(
            replicas,
            f"{p95} > {target.effective:g} ms: {fleet.ready} ready * {factor:.2f} = {_replicas(replicas)}",
        )
    # The load of the replica that goes falls on those that stay.
    afterwards = load.p95_ms * fleet.desired / max(fewer, 1)
    calm = load.p95_ms < LATENCY_CALM_SHARE * target.effective
    if calm and afterwards <= LATENCY_AFTER_SHARE * target.effective:
        return Proposal(fewer, f"{p95}, well below {target.effective:g} ms: {_replicas(fewer)}")
    return Proposal(stay, f"{p95}, near enough to {target.effective:g} ms: as it is")


def _replicas(number: int) -> str:
    return f"{number} replica" if number == 1 else f"{number} replicas"
