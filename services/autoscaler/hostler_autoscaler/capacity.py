"""The capacity that a job's replicas are counted with: the configured target, what was learned, or both, by the job's mode."""

from dataclasses import dataclass, replace

from hostler_autoscaler.carried import BEST, LEAN, Carried, carried, outstanding_at
from hostler_autoscaler.engine_fit import Line
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.shape import Shape
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode

SLO_GROWTH_MAX = 2.0
"""In slo mode a replica may be given so many times the target rate: a user knows it to within a factor of two."""
PRIOR_LATENCY_SHARE = 0.6
"""Of the latency target: a usual mean latency at the target rate, as long as nothing is learned."""

STICKY_SHARE = 0.08
"""A learned capacity is used until it is off by this much: content is noisy, and each wobble would cost a launch."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What to count on.

    Attributes:
        rps: Requests per second and replica; None where there is neither a target nor anything learned.
        x: Requests at a time and replica at that rate; None where nobody knows.
        limit_rps: The most that the throughput target allows.
        learned: What the latency target leaves, where it is known.
    """

    rps: float | None
    x: float | None
    limit_rps: float | None
    learned: Carried | None


BEYOND_SEEN = 1.5
"""A line is followed so far beyond the most requests at a time that were seen: engines have limits that no line tells of."""
ONE_FEWER_SPARE = 1.1
"""Of few replicas one less is a larger step: of two, the other one gets twice as much, and a tenth more for the noise."""


def capacity(state: PolicyState, spec: Scaling, *, ready: int) -> Capacity:
    """What one replica of the job is counted with.

    | throughput target | learned | mode   | rate                            |
    | ----------------- | ------- | ------ | ------------------------------- |
    | none              | no      | any    | none                            |
    | none              | yes     | any    | the learned one                 |
    | given             | no      | any    | the target                      |
    | given             | yes     | target | the smaller                     |
    | given             | yes     | slo    | the learned one, at most double |
    """
    throughput, latency = spec.target(ScalingMetric.THROUGHPUT), spec.target(ScalingMetric.LATENCY_P95)
    target_rps = throughput.effective if throughput else None
    line, shape = state.engine.line(), state.shape
    learned = None
    if line and shape and latency:
        x_limit = _x_limit(line, shape, target_rps, ready)
        aim = LEAN if spec.mode is ScalingMode.TARGET and target_rps is not None else BEST
        learned = carried(line, shape, latency.effective, x_limit=x_limit, aim=aim)
    limit = target_rps
    if target_rps is not None and learned is not None and spec.mode is ScalingMode.SLO:
        limit = target_rps * SLO_GROWTH_MAX
    learned = _sticky(learned, state.rps)
    known = [rps for rps in (limit, learned.rps if learned else None) if rps is not None]
    rps = min(known, default=None)
    x = None
    if rps is not None and line and shape:
        x = outstanding_at(line, shape, rps)
        if learned is not None:
            x = learned.x if x is None else min(x, learned.x)
    elif rps is not None and latency is not None:
        x = rps * latency.effective / 1000 * PRIOR_LATENCY_SHARE
    return Capacity(rps, x, limit, learned)


def _x_limit(line: Line, shape: Shape, target_rps: float | None, ready: int) -> float:
    """How many requests at a time to believe the line for: a little more than was seen, and as many as the user says that there may be."""
    one_fewer = ONE_FEWER_SPARE * ready / (ready - 1) if ready > 1 else 1.0
    limit = max(line.x_max * max(one_fewer, BEYOND_SEEN), 1.0)
    said = outstanding_at(line, shape, target_rps) if target_rps is not None else None
    return limit if said is None else max(limit, said)


def _sticky(learned: Carried | None, before: float | None) -> Carried | None:
    """The learned capacity as it was used before, unless it has changed by more than noise."""
    if learned is None or before is None or abs(learned.rps - before) > STICKY_SHARE * before:
        return learned
    return replace(learned, rps=before)
