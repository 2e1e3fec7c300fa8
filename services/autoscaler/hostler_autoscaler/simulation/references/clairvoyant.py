"""Who knows the traffic to come: the fewest replicas that keep attainment close to what the most would give.

The work that each half minute brings is known, in replica-seconds; so many replicas, times a headroom, are ready when it comes, launched
one cold start before. The headroom is searched: the least whose simulated attainment is at most a point below the best. So is the time over
which work is averaged, because to follow every peak costs more than it saves. It is no proof that fewer would not do.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import ceil, sqrt

from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.outcome import Outcome
from hostler_autoscaler.simulation.references.fixed import Planned
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import Draw, Traffic

ALLOWED_POINTS = 1.0
"""So much attainment may be given up for fewer replicas."""

_STEP_SECONDS = 30.0
_AVERAGED_STEPS = (6, 2, 16)
_COLD_START_MARGIN = 1.2
_HEADROOM_MIN = 0.4
_HEADROOM_MAX = 4.0
_TRIES = 7
_NEAR = 1.25
_TRIES_NEAR = 4


def best_plan(
    traffic: Traffic,
    conditions: Conditions,
    attainment_at_max: float,
    make_draw: Callable[[], Draw],
    *,
    thorough: bool = True,
) -> tuple[Planned, Outcome]:
    """The plan with the fewest replica-hours that was found, and what comes of it.

    Args:
        traffic: What is to come.
        conditions: Under what it is served.
        attainment_at_max: What `max_replicas` all day attain.
        make_draw: Gives the same draws each time, those of the run that is compared.
        thorough: Whether to try several times to average over, 15 simulations, or one, 7.
    """
    brought = work_by_step(traffic, conditions)
    best: tuple[Planned, Outcome] | None = None
    low, high, tries = _HEADROOM_MIN, _HEADROOM_MAX, _TRIES
    for steps in _AVERAGED_STEPS if thorough else _AVERAGED_STEPS[:1]:
        work = averaged(brought, steps)
        enough = high
        for _ in range(tries):
            headroom = sqrt(low * high)
            plan = Planned(wanted_by_step(work, conditions, headroom), _STEP_SECONDS)
            came = run(traffic, conditions, plan, draw=make_draw())
            if came.attainment < attainment_at_max - ALLOWED_POINTS:
                low = headroom
                continue
            high = enough = headroom
            if best is None or came.replica_seconds < best[1].replica_seconds:
                best = plan, came
        # Averaged over another time, nearly the same headroom is the least.
        low, high, tries = enough / _NEAR, enough * _NEAR, _TRIES_NEAR
    if best is None:
        plan = Planned([conditions.max_replicas], _STEP_SECONDS)
        best = plan, run(traffic, conditions, plan, draw=make_draw())
    return best


def work_by_step(traffic: Traffic, conditions: Conditions) -> list[float]:
    """The replica-seconds per second that come in each step, on replicas half as slow again as an idle one."""
    engine = conditions.engine
    active = min(engine.active_max, max(1.0, 0.5 * engine.alpha_ms / max(engine.beta_ms, 1e-9)))
    per_answer = engine.token_ms(active) / active / 1000.0
    per_prompt = engine.prefill_ms_per_token / 1000.0
    brought = [0.0] * (int(traffic.seconds / _STEP_SECONDS) + 1)
    for arrival, prompt, answer in zip(traffic.arrivals, traffic.prompts, traffic.answers, strict=True):
        brought[int(arrival / _STEP_SECONDS)] += answer * per_answer + prompt * per_prompt
    return [each / _STEP_SECONDS for each in brought]


def averaged(brought: Sequence[float], steps: int) -> list[float]:
    """The mean around each step, of the one before it at least, because what comes at the end of a step is done in the next."""
    sums = [0.0, *accumulate(brought)]
    begins = [max(0, step - (steps + 1) // 2) for step in range(len(brought))]
    ends = [min(len(brought), begin + steps) for begin in begins]
    return [(sums[end] - sums[begin]) / (end - begin) for begin, end in zip(begins, ends, strict=True)]


def wanted_by_step(work: Sequence[float], conditions: Conditions, headroom: float) -> list[int]:
    """How many to want at each step, so that those needed are ready by then."""
    needed = [
        max(conditions.min_replicas, min(conditions.max_replicas, ceil(each * headroom))) for each in work
    ]
    ahead = ceil(_COLD_START_MARGIN * conditions.cold_start_seconds / _STEP_SECONDS)
    return [max(needed[step : step + ahead + 1]) for step in range(len(needed))]
