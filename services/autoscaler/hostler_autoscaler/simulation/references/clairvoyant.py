"""Who knows the traffic to come: the fewest replicas that keep attainment close to what the most would give.

The work that each half minute brings is known, in replica-seconds; so many replicas, times a headroom, are ready when it comes, launched
one cold start before. The headroom is searched: the least whose simulated attainment is at most a point below the best.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, sqrt

from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.outcome import Outcome
from hostler_autoscaler.simulation.references.fixed import Planned
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import Draw, Traffic

ALLOWED_POINTS = 1.0
"""So much attainment may be given up for fewer replicas."""

_STEP_SECONDS = 30.0
_COLD_START_MARGIN = 1.3
_TRIES = 7
_HEADROOMS = (0.4, 4.0)


def best_plan(
    traffic: Traffic, conditions: Conditions, attainment_at_max: float, make_draw: Callable[[], Draw]
) -> tuple[Planned, Outcome]:
    """The plan with the fewest replica-hours that was found, and what comes of it.

    Args:
        traffic: What is to come.
        conditions: Under what it is served.
        attainment_at_max: What `max_replicas` all day attain.
        make_draw: Gives the same draws each time, those of the run that is compared.
    """
    work = work_by_step(traffic, conditions)
    low, high = _HEADROOMS
    wanted = wanted_by_step(work, conditions, high)
    outcome = run(traffic, conditions, Planned(wanted, _STEP_SECONDS), draw=make_draw())
    for _ in range(_TRIES):
        headroom = sqrt(low * high)
        tried = wanted_by_step(work, conditions, headroom)
        came = run(traffic, conditions, Planned(tried, _STEP_SECONDS), draw=make_draw())
        if came.attainment >= attainment_at_max - ALLOWED_POINTS:
            wanted, outcome, high = tried, came, headroom
        else:
            low = headroom
    return Planned(wanted, _STEP_SECONDS), outcome


def work_by_step(traffic: Traffic, conditions: Conditions) -> list[float]:
    """The replica-seconds per second that come in each step, on replicas half as slow again as an idle one.

    What comes at the end of a step is done in the next one, so a step needs what either of the two brought.
    """
    engine = conditions.engine
    active = min(engine.active_max, max(1.0, 0.5 * engine.alpha_ms / max(engine.beta_ms, 1e-9)))
    per_answer = engine.token_ms(active) / active / 1000.0
    per_prompt = engine.prefill_ms_per_token / 1000.0
    brought = [0.0] * (int(traffic.seconds / _STEP_SECONDS) + 2)
    for arrival, prompt, answer in zip(traffic.arrivals, traffic.prompts, traffic.answers, strict=True):
        brought[int(arrival / _STEP_SECONDS)] += answer * per_answer + prompt * per_prompt
    return [max(pair) / _STEP_SECONDS for pair in pairwise([0.0, *brought])]


def wanted_by_step(work: Sequence[float], conditions: Conditions, headroom: float) -> list[int]:
    """How many to want at each step, so that those needed are ready by then."""
    needed = [
        max(conditions.min_replicas, min(conditions.max_replicas, ceil(each * headroom))) for each in work
    ]
    ahead = ceil(_COLD_START_MARGIN * conditions.cold_start_seconds / _STEP_SECONDS)
    return [max(needed[step : step + ahead + 1]) for step in range(len(needed))]
