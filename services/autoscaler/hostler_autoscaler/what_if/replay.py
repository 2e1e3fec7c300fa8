"""Two replays of the same recorded traffic: with the numbers of replicas that there were, and with other settings. Pure.

Both run on the same fitted engine, so that they differ by the numbers alone; what the engine gets wrong, it gets wrong in both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hostler_autoscaler.observation import NoData
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.interface import Policy
from hostler_autoscaler.simulation.outcome import Outcome
from hostler_autoscaler.simulation.references.catalogue import named
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import Draw, Traffic
from hostler_autoscaler.what_if.fitting import Fitted, Unfit, fitted
from hostler_autoscaler.what_if.policies import AsItWas, RealPolicy
from hostler_autoscaler.what_if.recorded import Recorded, moments_of, recorded, traffic_of
from hostler_contracts.decisions import DecisionRecord
from hostler_contracts.load import LoadWindow
from hostler_contracts.what_if import (
    EngineTold,
    PointTold,
    RateTold,
    ReplayPolicy,
    ReplayTold,
    SimulationAnswer,
    SimulationQuestion,
)
from hostler_domain.scaling import Scaling, ScalingMetric

COLD_START_SECONDS_UNKNOWN = 60.0
POINTS_MAX = 240
_NO_TARGET_MS = 1e12


@dataclass(frozen=True, slots=True)
class Material:
    """What is recorded about a job, in any order.

    Attributes:
        records: Its decisions.
        windows: Its load windows.
        scaling: Its own settings at present.
        outstanding_max: So many requests do routers send to a replica at once; None for as many as come.
    """

    records: Sequence[DecisionRecord]
    windows: Sequence[LoadWindow]
    scaling: Scaling
    outstanding_max: int | None = None


def what_if(
    question: SimulationQuestion, material: Material, *, now: datetime, draws: Callable[[int], Draw]
) -> SimulationAnswer:
    """The answer.

    Args:
        question: What to try.
        material: What there is to try it on.
        now: The present time.
        draws: Makes a series of draws of a number; the same number makes the same series.
    """
    moments = moments_of(material.records)
    since = now - timedelta(seconds=question.back_seconds)
    found = recorded(moments, material.windows, since=since)
    if found is None or not found.moments:
        what = (
            "nothing of its traffic is recorded"
            if moments
            else "no decision about its number of replicas is recorded"
        )
        return SimulationAnswer(refusal=f"{what} since {since:%Y-%m-%d %H:%M:%S} UTC")
    memory = PolicyState.from_json(found.moments[-1].state)
    fit = fitted(memory, [each.seen for each in found.moments], material.scaling)
    if isinstance(fit, Unfit):
        return SimulationAnswer(refusal=fit.reason)
    traffic = traffic_of(found, fit, draw=draws(1))
    conditions, notes = _conditions(question.scaling, material, found, fit)
    steps = _steps(found)
    policy = _policy(question, found, steps[0][1], fit)
    if policy is None:
        return SimulationAnswer(
            refusal=f"the policy {question.policy} goes by requests per second, and the job has no such target"
        )
    most = max(number for _, number in steps)
    as_it_was = _replace_bounds(conditions, 0, max(most, 1), steps[0][1])
    wished = _replace_bounds(
        conditions, question.scaling.min_replicas, question.scaling.max_replicas, steps[0][1]
    )
    was = run(traffic, as_it_was, AsItWas(steps), draw=draws(2))
    would = run(traffic, wished, policy, draw=draws(2))
    has_latency = question.scaling.target(ScalingMetric.LATENCY_P95) is not None
    window = question.scaling.stabilisation_window_seconds
    return SimulationAnswer(
        begin=found.begin,
        end=found.end,
        requests=len(traffic),
        unknown_seconds=found.unknown_seconds,
        engine=EngineTold(
            unit=fit.content.unit,
            alpha_ms=fit.engine.alpha_ms,
            beta_ms=fit.engine.beta_ms,
            units_per_request=fit.content.mean_units,
            guessed=fit.guessed,
        ),
        cold_start_seconds=conditions.cold_start_seconds,
        notes=tuple(notes),
        traffic=_rates(traffic, found.begin),
        was=_told(was, found.begin, window, has_latency),
        would=_told(would, found.begin, window, has_latency),
    )


def _conditions(
    scaling: Scaling, material: Material, found: Recorded, fit: Fitted
) -> tuple[Conditions, list[str]]:
    notes = []
    latest = found.moments[-1].seen
    cold = next(
        (
            each.seen.cold_start_seconds
            for each in reversed(found.moments)
            if each.seen.cold_start_seconds is not None
        ),
        None,
    )
    if cold is None:
        notes.append(f"no start of a replica is known, {COLD_START_SECONDS_UNKNOWN:g} s are assumed")
    if fit.guessed:
        notes.append(
            "the load never varied enough to learn how requests slow each other down; that is taken from the targets"
        )
    if found.cut:
        notes.append(f"only the time since {found.begin:%Y-%m-%dT%H:%M:%SZ} fits into one replay")
    if found.unknown_seconds >= 60:
        notes.append(
            f"nothing is recorded of {found.unknown_seconds / 60:.0f} min, which count as without requests"
        )
    silent = sum(isinstance(each.seen.load, NoData) for each in found.moments)
    if silent:
        notes.append(f"{silent} of {len(found.moments)} records are of times without news about the load")
    rate = scaling.target(ScalingMetric.THROUGHPUT)
    latency = scaling.target(ScalingMetric.LATENCY_P95)
    if latency is None:
        notes.append("without a latency target there is nothing to attain")
    failing = latest.failed_boots / latest.launches if latest.launches else 0.0
    return (
        Conditions(
            engine=fit.scaled_engine,
            target_rps=rate.effective if rate else _rate_of_latency(scaling, fit),
            target_latency_ms=latency.effective if latency else _NO_TARGET_MS,
            cold_start_seconds=cold or COLD_START_SECONDS_UNKNOWN,
            boot_failure_share=min(failing, 0.9),
            stabilisation_seconds=float(scaling.stabilisation_window_seconds),
            outstanding_max=material.outstanding_max,
        ),
        notes,
    )


def _rate_of_latency(scaling: Scaling, fit: Fitted) -> float:
    """A rate for rules that know no other target: what a replica with the wanted concurrency, or eight requests, gets done."""
    target = scaling.target(ScalingMetric.CONCURRENCY)
    at_once = target.effective if target else 8.0
    return at_once * 1000 / (fit.engine.token_ms(at_once) * fit.content.mean_units)


def _replace_bounds(conditions: Conditions, lowest: int, highest: int, initial: int) -> Conditions:
    return replace(
        conditions,
        min_replicas=lowest,
        max_replicas=highest,
        initial_replicas=min(max(initial, lowest), highest),
    )


def _policy(question: SimulationQuestion, found: Recorded, initial: int, fit: Fitted) -> Policy | None:
    scaling = question.scaling
    if question.policy is ReplayPolicy.HOSTLER:
        # It begins with what was known then, as the policy did.
        memory = PolicyState.from_json(found.moments[0].state)
        return RealPolicy(scaling, found.begin, memory, scaling.clamp(initial))
    rate = scaling.target(ScalingMetric.THROUGHPUT)
    if rate is None:
        return None
    seconds = fit.engine.token_ms(1.0) * fit.content.mean_units / 1000
    concurrency = scaling.target(ScalingMetric.CONCURRENCY)
    return named(
        question.policy,
        target_concurrency=concurrency.effective if concurrency else max(rate.effective * seconds, 1.0),
    )


def _steps(found: Recorded) -> list[tuple[float, int]]:
    """From which second on how many replicas were asked for."""
    steps: list[tuple[float, int]] = []
    for moment in found.moments:
        at = (moment.at - found.begin).total_seconds()
        if not steps or steps[-1][1] != moment.before:
            steps.append((at, moment.before))
        if moment.decided != moment.before:
            steps.append((at, moment.decided))
    return steps


def _told(outcome: Outcome, begin: datetime, window_seconds: float, has_latency: bool) -> ReplayTold:
    every = max(-(-len(outcome.samples) // POINTS_MAX), 1)
    return ReplayTold(
        attainment=outcome.attainment if has_latency else None,
        p50_ms=outcome.p50_ms,
        p95_ms=outcome.p95_ms,
        replica_hours=outcome.replica_hours,
        launches=outcome.launches,
        changes=len(outcome.changes),
        flaps=outcome.reversals(window_seconds),
        unfinished=outcome.unfinished,
        points=tuple(
            PointTold(
                at=begin + timedelta(seconds=each.at),
                wanted=each.wanted,
                ready=each.ready,
                outstanding=each.outstanding,
            )
            for each in outcome.samples[::every]
        ),
    )


def _rates(traffic: Traffic, begin: datetime) -> tuple[RateTold, ...]:
    """Of as many parts as fit into an answer, none shorter than a minute."""
    part = max(traffic.seconds / POINTS_MAX, 60.0)
    counts = [0] * (int(traffic.seconds / part) + 1)
    for arrival in traffic.arrivals:
        counts[int(arrival / part)] += 1
    return tuple(
        RateTold(at=begin + timedelta(seconds=number * part), rps=count / part)
        for number, count in enumerate(counts)
        if number * part < traffic.seconds
    )
