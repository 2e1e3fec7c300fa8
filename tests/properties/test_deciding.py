"""What holds of every decision of the policy, whatever it is told and in whatever state it is."""

import json
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hostler_autoscaler.decide import decide
from hostler_autoscaler.decision import Decision
from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode, ScalingTarget, scaling_errors
from tests.support.builders import at
from tests.unit.autoscaler.policy_runs import NO_DATA, scaling, seen

numbers = st.sampled_from([0.0, 0.01, 0.3, 2.0, 9.0, 40.0, 300.0])
counts = st.sampled_from([0, 0, 1, 3, 40, 500])
latencies = st.sampled_from([None, 1.0, 80.0, 700.0, 50_000.0])


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
        mode=draw(st.sampled_from(list(ScalingMode)))
        if ScalingMetric.LATENCY_P95 in metrics
        else ScalingMode.TARGET,
    )
    assert list(scaling_errors(found)) == []
    return found


loads = st.builds(
    LoadSignals,
    rps=numbers,
    in_flight=counts,
    queued=counts,
    rps_20=st.one_of(st.none(), numbers),
    concurrency=st.one_of(st.none(), numbers),
    concurrency_20=st.one_of(st.none(), numbers),
    completions=st.sampled_from([0, 3, 60, 900]),
    p50_ms=latencies,
    p95_ms=latencies,
    mean_ms=latencies,
    token_ms=latencies,
    kv_utilisation=st.sampled_from([None, 0.4, 1.0]),
    audio_seconds_per_second=st.sampled_from([None, 0.0, 20.0]),
    idle_seconds=st.sampled_from([None, 0.0, 20.0]),
    rps_high=st.one_of(st.none(), numbers),
    concurrency_high=st.one_of(st.none(), numbers),
)


@dataclass(frozen=True)
class Tick:
    """What the policy is told at one tick, and how many of its replicas are not ready, and for how long they have not been."""

    seconds: float
    load: LoadSignals | NoData
    missing: int
    age: float
    cold: float | None


@st.composite
def days(draw: st.DrawFn) -> list[Tick]:
    """Some ticks with calm, load, and gaps."""
    seconds, ticks = 0.0, []
    calm = draw(loads)
    for _ in range(draw(st.integers(1, 40))):
        seconds += draw(st.sampled_from([1, 2, 5, 10, 30, 65]))
        told = draw(st.one_of(st.just(calm), st.just(calm), loads, st.just(NO_DATA)))
        ticks.append(
            Tick(
                seconds,
                told,
                draw(st.sampled_from([0, 0, 0, 1, 5])),
                draw(st.sampled_from([1.0, 50.0, 5000.0])),
                draw(st.sampled_from([None, 5.0, 5.0, 90.0])),
            )
        )
    return ticks


@dataclass(frozen=True)
class Step:
    """One decision with what led to it."""

    tick: Tick
    observation: Observation
    before: PolicyState
    state: PolicyState
    decision: Decision

    @property
    def current(self) -> int:
        return self.observation.desired


def lived(spec: Scaling, ticks: list[Tick], current: int) -> list[Step]:
    """The decisions of a day, each on top of the one before."""
    state, steps = PolicyState(), []
    for tick in ticks:
        missing = min(tick.missing, current)
        observation = Observation(
            now=at(tick.seconds),
            desired=current,
            ready=current - missing,
            load=tick.load,
            starting_ages=(tick.age,) * missing,
            cold_start_seconds=tick.cold,
        )
        before = state
        state, decision = decide(state, observation, spec)
        steps.append(Step(tick, observation, before, state, decision))
        current = decision.replicas
    return steps


@given(scalings(), days(), st.integers(0, 15))
def test_the_number_is_always_within_the_bounds(spec, ticks, current):
    for step in lived(spec, ticks, current):
        assert spec.min_replicas <= step.decision.replicas <= spec.max_replicas


@given(scalings(), days(), st.integers(0, 15))
def test_a_recorded_day_decides_the_same_to_the_byte(spec, ticks, current):
    for step in lived(spec, ticks, current):
        # Each on its own, from what a record holds: the state before as text, and the observation.
        state, decision = decide(
            PolicyState.from_json(step.before.to_json()), replace(step.observation), spec
        )
        assert repr(decision) == repr(step.decision)
        assert state.to_json() == step.state.to_json()


@given(scalings(), days(), st.integers(0, 15))
def test_the_state_comes_back_from_json_as_it_was(spec, ticks, current):
    for step in lived(spec, ticks, current):
        text = step.state.to_json()
        assert PolicyState.from_json(text) == step.state
        assert json.loads(text) is not None


@given(scalings(), days())
def test_it_never_goes_down_without_a_whole_window_of_good_news(spec, ticks):
    steps = lived(spec, ticks, spec.initial_replicas)
    for step in steps:
        if step.decision.replicas >= step.current:
            continue
        window = float(spec.stabilisation_window_seconds)
        if step.decision.replicas == 0 and spec.scale_to_zero_after_seconds is not None:
            window = spec.scale_to_zero_after_seconds
        since = step.tick.seconds - window
        told = [tick for tick in ticks if since <= tick.seconds <= step.tick.seconds]
        assert all(isinstance(tick.load, LoadSignals) for tick in told)
        assert all(later.seconds - earlier.seconds <= 60 for earlier, later in pairwise(told))
        assert step.state.valid_since is not None
        assert step.state.valid_since <= at(since).timestamp()


@given(scalings(), days())
def test_it_never_goes_below_what_it_was_raised_to_within_the_window(spec, ticks):
    steps = lived(spec, ticks, spec.initial_replicas)
    for number, step in enumerate(steps):
        if step.decision.replicas >= step.current or step.decision.replicas == 0:
            continue
        since = step.tick.seconds - spec.stabilisation_window_seconds
        raised = [
            each.decision.replicas - each.tick.missing
            for each in steps[:number]
            if each.tick.seconds >= since and each.decision.replicas > each.current > 0
        ]
        assert step.decision.replicas >= max(raised, default=0)


@given(scalings(), days(), st.integers(0, 12))
def test_nobody_waits_for_a_job_at_zero(spec, ticks, current):
    for step in lived(spec, ticks, spec.clamp(current)):
        if isinstance(step.tick.load, LoadSignals) and step.tick.load.outstanding:
            assert step.decision.replicas > 0


@given(scalings(), days(), st.integers(0, 15))
def test_every_decision_has_a_reason_and_every_proposal_a_sentence(spec, ticks, current):
    for step in lived(spec, ticks, current):
        assert all(step.decision.reasons)
        changed = step.decision.replicas != step.current
        assert not (step.decision.hold and changed and spec.clamp(step.current) == step.current)


@given(scalings(), days(), st.integers(1, 10))
def test_without_news_nothing_changes_within_the_bounds(spec, ticks, current):
    for step in lived(spec, ticks, spec.clamp(current)):
        if isinstance(step.tick.load, NoData):
            assert step.decision.replicas == step.current


@given(
    st.floats(0.1, 100),
    st.floats(0.1, 60),
    st.floats(1.0, 3.0),
    st.integers(1, 60),
    st.sets(st.sampled_from([ScalingMetric.THROUGHPUT, ScalingMetric.CONCURRENCY]), min_size=1),
)
def test_more_load_never_wants_fewer(threshold, rps, more, current, metrics):
    spec = scaling(*(ScalingTarget(metric, threshold) for metric in sorted(metrics)), maximum=60)
    wanted = []
    for factor in (1.0, more):
        told = LoadSignals(rps * factor, round(rps * 2 * factor), rps_20=rps * factor)
        wanted.append(decide(PolicyState(), seen(told, desired=current), spec)[1].replicas)
    assert wanted[1] >= wanted[0]


@given(st.floats(0.5, 60), st.integers(0, 20), st.integers(1, 20))
def test_what_is_starting_counts_as_much_as_what_is_ready(rps, starting, ready):
    spec = scaling(ScalingTarget(ScalingMetric.THROUGHPUT, 5.0), maximum=60)
    told, desired = LoadSignals(rps, 0), ready + starting
    _, all_ready = decide(PolicyState(), seen(told, desired=desired), spec)
    _, some = decide(PolicyState(), seen(told, desired=desired, starting=(10.0,) * starting), spec)
    assert all_ready.replicas == some.replicas
