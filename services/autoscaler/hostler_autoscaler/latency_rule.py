"""What a 95th percentile says by itself, before anything is learned: that more is needed, hardly how much."""

from hostler_autoscaler.consolidation import SURVIVORS_SHARE
from hostler_autoscaler.decision import ProposalKind
from hostler_autoscaler.observation import LoadSignals
from hostler_autoscaler.scene import Scene, Wanted, made

JUDGED_SECONDS = 75.0
"""Latencies look a minute back, and requests that waited for a new replica end in the first seconds after it is ready."""
COMPLETIONS_MIN = 5
STEP_MAX = 2.0
"""At most twice as many at a time."""
CALM_SHARE = 0.7
"""Of the target: one replica fewer is thought of below it."""
AFTER_SHARE = 0.9
"""Of the target: where the latency may come to when one replica goes."""
CONTRADICTION = 1.2
"""What was learned is believed within a fifth."""
CONTRADICTION_COMPLETIONS_MIN = 20
TOLERANCE = 1.1
"""Beside a throughput target, so far above its own target must a p95 be to count: the rate decides the rest."""


def unlearned_latency(scene: Scene) -> Wanted | None:
    """More while it is too slow, one fewer while the others can take its share, else as it is.

    | judged | p95 of enough requests           | alone: proposal                  | beside a throughput target |
    | ------ | -------------------------------- | -------------------------------- | -------------------------- |
    | no     | any                              | as it is                         | none                       |
    | yes    | above the target                 | ready * p95 / target, at most x2 | the same                   |
    | yes    | too few, and none under way      | one fewer                        | none                       |
    | yes    | well below, also with one fewer  | one fewer                        | none                       |
    | yes    | any other                        | as it is                         | none                       |
    """
    target_ms = scene.latency_ms
    if target_ms is None:
        return None
    observation, load = scene.observation, scene.load
    beside = scene.capacity.limit_rps is not None
    stay = float(observation.desired)
    settled_at = scene.state.settled_at
    judged = settled_at is not None and scene.now - settled_at >= JUDGED_SECONDS
    if not judged or observation.ready < 1:
        return None if beside else _told(stay, "not judged while replicas start or have just started")
    # As low as lets the check of what survivors carry pass: this rule has made one of its own.
    fewer = max(stay - 1, min(stay, 1.0)) * SURVIVORS_SHARE
    if load.p95_ms is None or load.completions < COMPLETIONS_MIN:
        if beside:
            return None
        few = f"{load.completions} completed requests are too few for a p95"
        return _told(fewer, few) if load.outstanding == 0 else _told(stay, f"{few}, as it is")
    if load.p95_ms > target_ms * (TOLERANCE if beside else 1.0):
        if beside and _worked_off(load):
            return None
        factor = min(load.p95_ms / target_ms, STEP_MAX)
        return made(
            ProposalKind.LATENCY,
            max(observation.ready * factor, stay),
            f"p95 {load.p95_ms:.0f} ms > {target_ms:g} ms, {observation.ready} ready * {factor:.2f}",
            p95_ms=load.p95_ms,
        )
    if beside:
        return None
    afterwards = load.p95_ms * stay / max(stay - 1, 1.0)
    if load.p95_ms < CALM_SHARE * target_ms and afterwards <= AFTER_SHARE * target_ms:
        return _told(fewer, f"p95 {load.p95_ms:.0f} ms, well below {target_ms:g} ms")
    return _told(stay, f"p95 {load.p95_ms:.0f} ms, not above {target_ms:g} ms, as it is")


def contradicting_latency(scene: Scene) -> Wanted | None:
    """More, though by what was learned there are enough: a p95 far above its target, on replicas that have more than they are meant to.

    Whatever is wrong with what was learned, as when the content has just changed, this says so until more is learned.
    """
    target_ms, p95_ms, x = scene.latency_ms, scene.load.p95_ms, scene.capacity.x
    learned, ready, settled_at = scene.capacity.learned, scene.observation.ready, scene.state.settled_at
    if target_ms is None or p95_ms is None or x is None or learned is None or settled_at is None:
        return None
    too_slow = p95_ms > CONTRADICTION * target_ms and scene.load.completions >= CONTRADICTION_COMPLETIONS_MIN
    too_many = scene.sensed.outstanding > CONTRADICTION * x * ready
    if learned.content_bound or not (too_slow and too_many) or scene.now - settled_at < JUDGED_SECONDS:
        return None
    if _worked_off(scene.load):
        return None
    factor = min(p95_ms / target_ms, STEP_MAX)
    return made(
        ProposalKind.LATENCY,
        ready * factor,
        f"p95 {p95_ms:.0f} ms > {target_ms:g} ms, though {learned.p95_ms:.0f} ms were foreseen, {ready} ready * {factor:.2f}",
        lasting=False,
        p95_ms=p95_ms,
    )


def _worked_off(load: LoadSignals) -> bool:
    """Whether there are fewer requests by now: those that end have waited in a line that gets shorter, and their latency tells of the past."""
    return (
        load.concurrency is not None
        and load.concurrency_20 is not None
        and load.concurrency_20 < load.concurrency
    )


def _told(need: float, sentence: str) -> Wanted:
    return made(ProposalKind.LATENCY, need, sentence)
