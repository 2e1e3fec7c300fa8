"""What holds of every decision of the autoscaler, whatever it is told and in whatever state it is."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hostler_autoscaler.observe import Load, NoData, observe
from hostler_autoscaler.policy import Decision, decide
from hostler_autoscaler.state import ScalerState
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget, scaling_errors
from tests.support.builders import at
from tests.unit.autoscaler.loads import NO_DATA, load, window


@st.composite
def scalings(draw: st.DrawFn) -> Scaling:
    minimum = draw(st.integers(0, 4))
    maximum = draw(st.integers(max(minimum, 1), 12))
    metrics = draw(st.sets(st.sampled_from(list(ScalingMetric))))
    if minimum == 0 and metrics == {ScalingMetric.LATENCY_P95}:
        metrics = set()
    found = Scaling(
        min_replicas=minimum,
        max_replicas=maximum,
        initial_replicas=max(minimum, 1),
        activation_replicas=draw(st.integers(max(minimum, 1), maximum)),
        targets=tuple(
            ScalingTarget(metric, draw(st.floats(0.1, 1000)), draw(st.integers(1, 100)))
            for metric in sorted(metrics)
        ),
        stabilisation_window_seconds=draw(st.sampled_from([0, 10, 60])),
        scale_to_zero_after_seconds=draw(st.sampled_from([None, 1, 30])) if minimum == 0 else None,
    )
    assert list(scaling_errors(found)) == []
    return found


@dataclass(frozen=True)
class Tick:
    """What the policy is told at one tick."""

    seconds: float
    load: Load | NoData
    lost_replicas: int


@st.composite
def days(draw: st.DrawFn) -> list[Tick]:
    """Some ticks with calm, load, and gaps."""
    seconds, ticks = 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        seconds += draw(st.sampled_from([1, 2, 5, 19, 25]))
        told: Load | NoData = NO_DATA
        if draw(st.integers(0, 7)):
            told = load(
                draw(st.sampled_from([0, 0, 0.1, 9, 300])),
                p95_ms=draw(st.sampled_from([None, 1, 80, 700, 50_000])),
                completions=draw(st.sampled_from([1, 100])),
                in_flight=draw(st.sampled_from([0, 0, 3, 200])),
                queued=draw(st.sampled_from([0, 0, 0, 1, 50])),
                now=at(seconds),
            )
        ticks.append(Tick(seconds, told, draw(st.sampled_from([0, 0, 0, 1, 5]))))
    return ticks


@dataclass(frozen=True)
class Step:
    """One decision with what led to it."""

    tick: Tick
    current: int
    state: ScalerState
    decision: Decision


def lived(spec: Scaling, ticks: list[Tick], current: int) -> list[Step]:
    """The decisions of a day, each on top of the one before."""
    state, steps = ScalerState(), []
    for tick in ticks:
        ready = max(current - tick.lost_replicas, 0)
        state, decision = decide(spec, current, ready, state, tick.load, now=at(tick.seconds))
        steps.append(Step(tick, current, state, decision))
        current = decision.replicas
    return steps


@given(scalings(), days(), st.integers(0, 15))
def test_the_number_is_always_within_the_bounds(spec, ticks, current):
    for step in lived(spec, ticks, current):
        assert spec.min_replicas <= step.decision.replicas <= spec.max_replicas


@given(scalings(), days(), st.integers(0, 15))
def test_the_same_day_gives_the_same_decisions(spec, ticks, current):
    assert lived(spec, ticks, current) == lived(spec, ticks, current)


@given(scalings(), days())
def test_it_never_goes_down_without_a_whole_window_of_valid_data(spec, ticks):
    for step in lived(spec, ticks, spec.initial_replicas):
        if step.decision.replicas >= step.current:
            continue
        window_seconds = spec.stabilisation_window_seconds
        if step.decision.replicas == 0 and spec.scale_to_zero_after_seconds is not None:
            window_seconds = spec.scale_to_zero_after_seconds
        since = step.tick.seconds - window_seconds
        assert isinstance(step.tick.load, Load)
        told = [tick for tick in ticks if since <= tick.seconds <= step.tick.seconds]
        assert all(isinstance(tick.load, Load) for tick in told)
        assert step.state.valid_since is not None
        assert step.state.valid_since <= at(since)


@given(scalings(), days(), st.integers(0, 12))
def test_nobody_waits_for_a_job_at_zero(spec, ticks, current):
    for step in lived(spec, ticks, spec.clamp(current)):
        if isinstance(step.tick.load, Load) and step.tick.load.demand:
            assert step.decision.replicas > 0


@given(scalings(), days())
def test_it_never_goes_below_what_any_tick_of_the_window_asked_for(spec, ticks):
    steps = lived(spec, ticks, spec.initial_replicas)
    for number, step in enumerate(steps):
        if step.decision.replicas >= step.current or step.decision.replicas == 0:
            continue
        since = step.tick.seconds - spec.stabilisation_window_seconds
        raised = [
            each.decision.replicas
            for each in steps[:number]
            if each.tick.seconds >= since and each.decision.replicas > each.current > 0
        ]
        assert step.decision.replicas >= max(raised, default=0)


@given(scalings(), days(), st.integers(0, 15))
def test_every_change_and_every_hold_has_a_reason(spec, ticks, current):
    for step in lived(spec, ticks, current):
        assert step.decision.reasons
        assert all(step.decision.reasons)


@given(scalings(), days(), st.integers(1, 10))
def test_without_data_nothing_changes_within_the_bounds(spec, ticks, current):
    for step in lived(spec, ticks, spec.clamp(current)):
        if isinstance(step.tick.load, NoData):
            assert step.decision.replicas == step.current


@given(
    st.lists(
        st.builds(
            window,
            st.integers(0, 11).map(lambda number: number * 5.0),
            arrivals=st.integers(0, 50),
            router=st.sampled_from(["router-1", "router-2"]),
            in_flight=st.integers(0, 9),
            latencies_ms=st.lists(st.floats(1, 1e6), max_size=5).map(tuple),
        ),
        unique_by=lambda each: (each.router, each.started_at),
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_windows_come_makes_no_difference(windows, rng):
    other = list(windows)
    rng.shuffle(other)
    assert observe(other, now=at(60)) == observe(windows, now=at(60))
