"""What is learned from a look, and what the learned capacity then decides in either mode."""

from dataclasses import replace

import pytest

from hostler_autoscaler.decide import decide
from hostler_autoscaler.policy_state import PolicyState
from hostler_domain.scaling import ScalingMetric, ScalingMode, ScalingTarget
from tests.unit.autoscaler.policy_runs import RPS, Run, engine, load, proposal, scaling, seen

REPLICA = engine(20.0, 2.0, 100.0, spread=2.5)
"""At 5 per second it would be at its end; a p95 of 10 s leaves 2.4."""
LATENCY = ScalingTarget(ScalingMetric.LATENCY_P95, 10_000.0)


def rate(value: float) -> ScalingTarget:
    return ScalingTarget(ScalingMetric.THROUGHPUT, value)


def taught(*targets: ScalingTarget, mode: ScalingMode = ScalingMode.TARGET, current: int = 4) -> Run:
    """A job that has seen calm and load."""
    run = Run(scaling(*targets, maximum=40, mode=mode), current=current)
    for _ in range(3):
        run.go(300, lambda _, ready: REPLICA(4.0, ready)).go(300, lambda _, ready: REPLICA(9.5, ready))
    return run


def test_the_engine_and_the_content_are_learned():
    run = taught(rate(2.0), LATENCY)
    line, shape = run.state.engine.line(), run.state.shape
    assert (line.alpha, line.beta) == (pytest.approx(20, rel=0.02), pytest.approx(2, rel=0.02))
    assert (shape.mean, shape.p95) == (pytest.approx(100, rel=0.02), pytest.approx(250, rel=0.02))


@pytest.mark.parametrize(
    "told",
    [
        replace(REPLICA(8, 4), completions=4),
        replace(REPLICA(8, 4), queued=40),
        replace(REPLICA(8, 4), token_ms=None, mean_ms=None, p95_ms=None, completions=0),
    ],
    ids=["few completions", "requests wait", "no latencies"],
)
def test_nothing_is_learned_from(told):
    assert Run(scaling(RPS), current=4).go(600, told).state.engine.levels == ()


def test_nothing_is_learned_from_replicas_that_have_just_come():
    run = Run(scaling(rate(2.0), maximum=40), current=2, cold=60).go(60, lambda _, ready: REPLICA(4, ready))
    before = run.state.engine
    run.go(120, lambda _, ready: REPLICA(7.9, ready))
    assert run.ready == 4
    assert [level.x < 8 for level in run.state.engine.levels] == [True] * len(before.levels)


def test_while_the_load_is_on_the_move_the_content_alone_is_learned():
    run = taught(rate(2.0), LATENCY)
    jumped = replace(REPLICA(9.5, run.ready), concurrency=3.0, concurrency_20=3.0, mean_ms=None, p95_ms=1e5)
    before = run.state
    run.go(40, jumped)
    assert run.state.engine == before.engine
    assert run.state.shape.p95 > before.shape.p95
    assert run.state.shape.mean == before.shape.mean


def test_where_nobody_counts_tokens_the_whole_request_is_the_unit():
    told = replace(REPLICA(8, 4), token_ms=None)
    run = Run(scaling(RPS), current=4).go(300, told)
    assert run.state.engine.levels[0].unit_ms == pytest.approx(told.mean_ms, rel=1e-3)


def test_where_nobody_reports_mean_latencies_littles_law_gives_them():
    told = replace(REPLICA(8, 4), mean_ms=None)
    run = Run(scaling(RPS, LATENCY), current=4).go(300, told)
    assert run.state.shape.mean == pytest.approx(100, rel=0.02)


# What it decides


def test_a_target_that_is_twice_too_high_is_not_believed():
    run = taught(rate(5.0), LATENCY).go(300, lambda _, ready: REPLICA(20.0, ready))
    carries = proposal(run.last, "latency").numbers["replica_rps"]
    assert 1.9 < carries < 2.5
    assert 8 <= run.current <= 12
    assert proposal(run.last, "rate").replicas == 4
    assert [each.kind for each in run.last.advice] == ["target_rps_too_high"]
    assert "target_rps 5 is 2." in run.last.advice[0].sentence


@pytest.mark.parametrize(
    ("mode", "replicas"), [(ScalingMode.TARGET, 19), (ScalingMode.SLO, 10)], ids=["target", "slo"]
)
def test_a_target_that_is_too_low_binds_in_target_mode_alone(mode, replicas):
    run = taught(rate(1.0), LATENCY, mode=mode, current=10).go(9000, lambda _, ready: REPLICA(18.2, ready))
    assert run.current == replicas
    assert [each.kind for each in run.last.advice] == ["target_rps_too_low"]


def test_a_rate_just_above_whole_replicas_asks_for_none_more_while_the_latency_is_kept():
    run = taught(rate(2.0), LATENCY, current=8).go(900, lambda _, ready: REPLICA(16.2, ready))
    assert proposal(run.last, "rate").replicas == 8
    assert "0.23 that may be chance" in proposal(run.last, "rate").sentence


def test_a_pile_up_is_judged_by_what_a_replica_carries_not_by_a_target_that_is_too_low():
    run = taught(rate(0.5), LATENCY, current=20)
    state, observation = (
        run.state,
        seen(replace(REPLICA(8.0, 20), in_flight=40, concurrency_20=40.0), desired=20, seconds=run.seconds),
    )
    _, decision = decide(state, observation, run.spec)
    assert proposal(decision, "rate").replicas >= 16
    assert proposal(decision, "backlog") is None
    many = replace(observation, load=replace(REPLICA(8.0, 20), in_flight=90, concurrency_20=90.0))
    backlog = proposal(decide(state, many, run.spec)[1], "backlog")
    # Each works off more than its target, so those that are there will do.
    assert backlog.numbers["need"] < 20


def test_what_surely_grows_is_counted_as_it_is_by_now():
    run = taught(rate(2.0), LATENCY, current=8)
    run.go(900, lambda seconds, ready: REPLICA(9.5 + (seconds - 1800) / 150, ready))
    forecast, now = proposal(run.last, "forecast"), run.last
    assert forecast.numbers["need"] >= 15.4 / 2.0
    assert proposal(now, "rate").numbers["rps"] < 15


def test_requests_that_nobody_saw_under_way_teach_nothing():
    run = Run(scaling(rate(2.0), LATENCY), current=2).go(600, load(4, p95_ms=1.0))
    assert run.state.engine.levels == ()


def test_replicas_that_never_had_much_may_still_be_given_the_target():
    run = Run(scaling(rate(2.0), LATENCY, minimum=10, maximum=40), current=10)
    for rps in (2.0, 6.0, 2.0, 6.0):
        run.go(300, lambda _, ready, rps=rps: REPLICA(rps, ready))
    assert proposal(run.last, "latency").numbers["replica_rps"] >= 2.0


def test_a_latency_alone_is_kept_by_what_was_learned():
    run = taught(LATENCY).go(1500, lambda _, ready: REPLICA(20.0, ready))
    assert 8 <= run.current <= 11


def test_what_was_learned_is_not_believed_against_a_p95_far_above_its_target():
    run = taught(rate(2.4), LATENCY).go(100, lambda _, ready: REPLICA(9.5, ready))
    before, calm = run.current, REPLICA(9.5, run.ready)
    # Twice as many at a time, far too slow, and no look at the content yet.
    slow = replace(
        calm, concurrency=2 * calm.concurrency, concurrency_20=2 * calm.concurrency, p95_ms=18_000.0
    )
    told = seen(slow, desired=before, seconds=run.seconds)
    _, decision = decide(replace(run.state, sampled_at=told.now.timestamp()), told, run.spec)
    assert f"though {proposal(decision, 'latency').numbers['p95_ms']:.0f} ms were foreseen" in decision.reason
    assert decision.replicas == round(before * 1.8)


def test_a_slow_p95_without_many_at_a_time_is_a_matter_of_content():
    run = taught(rate(2.4), LATENCY).go(100, lambda _, ready: REPLICA(9.5, ready))
    told = seen(replace(REPLICA(9.5, run.ready), p95_ms=18_000.0), desired=run.current, seconds=run.seconds)
    _, decision = decide(replace(run.state, sampled_at=told.now.timestamp()), told, run.spec)
    assert decision.replicas == run.current


def test_answers_too_long_for_the_target_are_said_so():
    run = taught(rate(2.0), ScalingTarget(ScalingMetric.LATENCY_P95, 4000.0))
    assert "content_bound" in [each.kind for each in run.last.advice]


def test_a_learned_capacity_that_wobbles_is_used_as_it_was():
    run = taught(rate(5.0), LATENCY)
    before = proposal(run.last, "latency").numbers["replica_rps"]
    told = REPLICA(9.5, run.ready)
    run.go(120, replace(told, p95_ms=told.p95_ms * 1.1))
    assert proposal(run.last, "latency").numbers["replica_rps"] == before


# Jobs that listen


def test_twice_the_audio_counts_as_twice_the_requests():
    run = Run(scaling(RPS)).go(300, load(8, audio=80))
    assert run.current == 2
    run.go(10, load(8, audio=160))
    assert run.current == 4


# Advice


def test_bursts_that_end_before_help_comes_ask_for_more_warm_replicas():
    run = Run(scaling(RPS, maximum=20), cold=180)
    run.go(5 * 1800, lambda seconds, _: load(30 if seconds % 1800 < 100 else 4))
    kinds = {each.kind: each for each in run.last.advice}
    assert kinds["raise_min_replicas"].numbers["replicas"] >= 6


def test_a_job_at_its_ceiling_is_told_what_it_needs():
    run = Run(scaling(RPS, maximum=3)).go(10, load(40))
    assert [each.sentence for each in run.last.advice] == ["max_replicas 3 is below the 8.0 that were needed"]


def test_boots_that_fail_are_said_so_until_they_are_clearly_better():
    state = PolicyState()
    said = []
    for failed in (2, 3, 2, 1):
        told = replace(seen(load(4), seconds=failed), failed_boots=failed, launches=10)
        state, decision = decide(state, told, scaling(RPS))
        said.append([each.kind for each in decision.advice])
    assert said == [[], ["boots_fail"], ["boots_fail"], []]


# The state


def test_the_state_survives_json_and_stays_small():
    run = taught(rate(2.0), LATENCY)
    run.go(7200, lambda seconds, ready: REPLICA(4 + seconds % 1700 / 200, ready))
    text = run.state.to_json()
    assert PolicyState.from_json(text) == run.state
    assert PolicyState.from_json(text).to_json() == text
    assert len(text) < 3000


@pytest.mark.parametrize("text", ["", "null", "[]", '{"version":2}', '{"engine":7}', "{"])
def test_what_another_version_wrote_reads_as_fresh(text):
    assert PolicyState.from_json(text) == PolicyState()
