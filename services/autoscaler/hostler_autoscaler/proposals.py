"""What each scaling target, taken by itself, wants: a number of replicas and a sentence with the numbers.

Pure; `policy.decide` takes the largest.
"""

import math
from dataclasses import dataclass

from hostler_autoscaler.observe import LOOK_BACK_SECONDS, Load
from hostler_domain.scaling import ScalingMetric, ScalingTarget

THROUGHPUT_SLACK = 0.05
"""Share of a replica by which the rate may exceed a whole number of them: 3.02 replicas' worth of load is served by 3."""
LATENCY_COMPLETIONS_MIN = 5
"""A percentile of fewer requests is chance."""
LATENCY_STEP_MAX = 2.0
"""Latency says that more is needed, not how much, so at most twice as many at a time."""
LATENCY_CALM_SHARE = 0.7
"""Of the threshold: one replica fewer is thought of below it."""
LATENCY_AFTER_SHARE = 0.9
"""Of the threshold: where the latency may come to when one replica goes."""


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
        settled_seconds: For how long latencies have spoken of all of them; None while some start or have just started.
    """

    desired: int
    ready: int
    settled_seconds: float | None


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
    # Those that wait would be in flight if there were room for them.
    replicas = math.ceil(load.demand / target.effective)
    waiting = f" and {load.queued} waiting" if load.queued else ""
    return Proposal(
        replicas,
        f"concurrency: {load.in_flight} in flight{waiting} / {target.effective:g} per replica = {_replicas(replicas)}",
    )


def _latency(target: ScalingTarget, load: Load, fleet: Fleet) -> Proposal:
    """More while it is too slow, one fewer while the others can take its share, else as it is.

    | settled for | p95 of enough requests            | proposal                                |
    | ----------- | --------------------------------- | --------------------------------------- |
    | not at all  | any                               | as it is: more are starting already     |
    | any time    | above the threshold               | ready * p95 / threshold, at most twice  |
    | < look-back | any other                         | as it is                                |
    | >= look-back| too few, and none under way       | one fewer                               |
    | >= look-back| well below, also with one fewer   | one fewer                               |
    | >= look-back| any other                         | as it is                                |
    """
    stay, fewer = fleet.desired, max(fleet.desired - 1, min(fleet.desired, 1))
    if fleet.settled_seconds is None:
        return Proposal(
            stay,
            f"latency: not judged while replicas start or have just started, {fleet.ready} of {fleet.desired} are ready",
        )
    judged = fleet.settled_seconds >= LOOK_BACK_SECONDS
    if load.p95_ms is None or load.completions < LATENCY_COMPLETIONS_MIN:
        few = f"latency: {load.completions} completed requests are too few for a p95, {load.demand} are under way"
        if judged and load.demand == 0:
            return Proposal(fewer, f"{few}: {_replicas(fewer)}")
        return Proposal(stay, f"{few}: as it is")
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
    if judged and calm and afterwards <= LATENCY_AFTER_SHARE * target.effective:
        return Proposal(fewer, f"{p95}, well below {target.effective:g} ms: {_replicas(fewer)}")
    return Proposal(stay, f"{p95}, not above {target.effective:g} ms: as it is")


def _replicas(number: int) -> str:
    return f"{number} replica" if number == 1 else f"{number} replicas"
