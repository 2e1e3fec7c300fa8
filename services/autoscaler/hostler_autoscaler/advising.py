"""What the owner of a job might change, with the evidence.

Advice that holds goes on holding until its cause is clearly gone, so that it does not come and go; the state remembers which holds.
"""

from dataclasses import replace

from hostler_autoscaler.decision import Advice, AdviceKind
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.scene import Scene
from hostler_domain.scaling import Scaling, ScalingMetric

BURSTS_SAID = (1.75, 0.75)
"""Bursts, which fade, from which on to say so, two within hours, and below which to stop; likewise the pairs below."""
TARGET_HIGH = (1.5, 1.25)
"""Target rate by what a replica carries."""
TARGET_LOW = (1.6, 1.3)
"""What a replica carries by the target rate."""
OUT_OF_TIME = (0.05, 0.035)
"""Share of requests that end too late on replicas of their own."""
BOOTS_FAILED = (0.25, 0.15)
LAUNCHES_MIN = 4


def advised(state: PolicyState, scene: Scene, spec: Scaling) -> tuple[PolicyState, tuple[Advice, ...]]:
    """The advice that holds, and the state that remembers it."""
    found = [
        each
        for each in (
            _min_replicas(state, scene, spec),
            *_target_rate(state, scene, spec),
            _content(state, scene),
            _max_replicas(state, spec),
            _boots(state, scene),
        )
        if each is not None
    ]
    kinds = tuple(each.kind.value for each in found)
    return state if kinds == state.advised else replace(state, advised=kinds), tuple(found)


def _holds(state: PolicyState, kind: AdviceKind, value: float, marks: tuple[float, float]) -> bool:
    return value >= (marks[1] if kind.value in state.advised else marks[0])


def _min_replicas(state: PolicyState, scene: Scene, spec: Scaling) -> Advice | None:
    count, kind = state.bursts.counted(scene.now), AdviceKind.RAISE_MIN_REPLICAS
    replicas = min(state.bursts.replicas, spec.max_replicas)
    if replicas <= spec.min_replicas or not _holds(state, kind, count, BURSTS_SAID):
        return None
    cold = scene.cold_start_seconds
    return Advice(
        kind,
        f"raise min_replicas to {replicas}: {count:.0f} bursts that needed up to {replicas} replicas were over before one that is"
        f" asked for serves, after {cold:.0f} s",
        {"bursts": round(count, 1), "replicas": replicas, "cold_start_seconds": cold},
    )


def _target_rate(state: PolicyState, scene: Scene, spec: Scaling) -> list[Advice]:
    target, learned = spec.target(ScalingMetric.THROUGHPUT), scene.capacity.learned
    if target is None or learned is None or scene.latency_ms is None:
        return []
    rps, carried = target.effective, learned.rps
    numbers = {"target_rps": rps, "replica_rps": round(carried, 3), "p95_ms": round(learned.p95_ms)}
    within = f"what a replica carries within {scene.latency_ms:g} ms: {carried:.3g} rps"
    if _holds(state, AdviceKind.TARGET_RPS_TOO_HIGH, rps / carried, TARGET_HIGH):
        high = f"target_rps {rps:g} is {rps / carried:.1f} times {within}"
        return [Advice(AdviceKind.TARGET_RPS_TOO_HIGH, high, numbers)]
    if _holds(state, AdviceKind.TARGET_RPS_TOO_LOW, carried / rps, TARGET_LOW):
        low = f"target_rps {rps:g} is 1/{carried / rps:.1f} of {within}"
        return [Advice(AdviceKind.TARGET_RPS_TOO_LOW, low, numbers)]
    return []


def _content(state: PolicyState, scene: Scene) -> Advice | None:
    learned = scene.capacity.learned
    if learned is None or not _holds(state, AdviceKind.CONTENT_BOUND, 1 - learned.best, OUT_OF_TIME):
        return None
    late = 100 * (1 - learned.best)
    return Advice(
        AdviceKind.CONTENT_BOUND,
        f"p95 is content-bound: {late:.0f} % of the answers are too long for {scene.latency_ms:g} ms even on a replica of their own",
        {"late_share": round(1 - learned.best, 4), "target_ms": scene.latency_ms or 0.0},
    )


def _max_replicas(state: PolicyState, spec: Scaling) -> Advice | None:
    # The peaks of the window keep it from coming and going.
    needed = state.peaks.highest(0.0)
    if needed <= spec.max_replicas + 0.5:
        return None
    return Advice(
        AdviceKind.AT_MAX_REPLICAS,
        f"max_replicas {spec.max_replicas} is below the {needed:.1f} that were needed",
        {"needed": needed, "max_replicas": spec.max_replicas},
    )


def _boots(state: PolicyState, scene: Scene) -> Advice | None:
    launches, failed = scene.observation.launches, scene.observation.failed_boots
    if launches < LAUNCHES_MIN or not _holds(state, AdviceKind.BOOTS_FAIL, failed / launches, BOOTS_FAILED):
        return None
    return Advice(
        AdviceKind.BOOTS_FAIL,
        f"{failed} of the last {launches} replicas asked for did not come",
        {"failed": failed, "launches": launches},
    )
