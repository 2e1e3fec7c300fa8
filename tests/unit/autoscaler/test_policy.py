"""How many replicas, and why."""

from dataclasses import replace
from itertools import pairwise

import pytest

from hostler_autoscaler.memory import SCALER_STATES
from hostler_autoscaler.observe import STALE_SECONDS
from hostler_autoscaler.policy import decide
from hostler_autoscaler.state import SAMPLES_MAX, ScalerState
from hostler_domain.scaling import ScalingMetric, ScalingTarget
from tests.support.builders import NOW, at
from tests.unit.autoscaler.loads import IN_FLIGHT, NO_DATA, P95, RPS, Run, load, scaling, steady

HALF = ScalingTarget(ScalingMetric.THROUGHPUT, 10.0, percentage=50)


@pytest.mark.parametrize(
    ("targets", "seen", "replicas", "said"),
    [
        ((RPS,), load(12.4), 3, "throughput: 12.4 rps over 60 s / 5 rps per replica = 3 replicas"),
        ((RPS,), load(0.01), 1, "throughput: 0.01 rps over 60 s / 5 rps per replica = 0 replicas"),
        ((HALF,), load(12.4), 3, "throughput: 12.4 rps over 60 s / 5 rps per replica = 3 replicas"),
        ((IN_FLIGHT,), load(in_flight=17), 3, "concurrency: 17 in flight / 8 per replica = 3 replicas"),
        ((P95,), load(9, p95_ms=1500), 2, "latency: p95 1500 ms > 1000 ms: 1 ready * 1.50 = 2 replicas"),
        ((P95,), load(9, p95_ms=9000), 2, "latency: p95 9000 ms > 1000 ms: 1 ready * 2.00 = 2 replicas"),
        ((P95,), load(9, p95_ms=990), 1, "latency: p95 990 ms, not above 1000 ms: as it is"),
        ((RPS,), load(500), 10, "throughput: 500 rps over 60 s / 5 rps per replica = 100 replicas"),
    ],
    ids=["rps", "rps small", "percentage", "concurrency", "p95", "p95 at most twice", "p95 near", "bounds"],
)
def test_each_target_has_its_proposal_and_says_so(targets, seen, replicas, said):
    _, decision = decide(scaling(*targets), 1, 1, steady(1), seen, now=NOW)
    assert decision.replicas == replicas
    assert said in decision.reasons


def test_the_largest_proposal_wins_and_every_one_is_told():
    seen = load(12.4, p95_ms=100, in_flight=39)
    _, decision = decide(scaling(RPS, IN_FLIGHT, P95), 2, 2, steady(2), seen, now=NOW)
    assert decision.replicas == 5
    assert decision.reasons[0] == "up from 2 to 5"
    assert [reason.split(":")[0] for reason in decision.reasons[1:]] == [
        "throughput",
        "concurrency",
        "latency",
    ]


@pytest.mark.parametrize(
    ("rps", "replicas"), [(10.0, 2), (10.2, 2), (10.3, 3), (15.2, 3), (15.3, 4)], ids=str
)
def test_a_little_more_than_whole_replicas_of_load_needs_no_other_one(rps, replicas):
    _, decision = decide(scaling(RPS), 1, 1, steady(1), load(rps), now=NOW)
    assert decision.replicas == replicas


def test_up_is_at_once_even_for_a_job_that_nothing_is_known_about():
    _, decision = decide(scaling(RPS), 1, 0, ScalerState(), load(12.4), now=NOW)
    assert decision.replicas == 3


# Down


def test_a_job_just_taken_over_is_not_scaled_down_for_a_whole_window():
    run = Run(scaling(RPS), current=3).go(298, lambda *_: load(0.5))
    assert (run.current, run.changes) == (3, [])
    assert all(decision.hold for _, decision in run.decisions)
    assert (
        run.decisions[-1][1].reasons[0] == "held at 3: 1 would do, but there are 296 s of data, not yet 300 s"
    )
    assert run.go(4, lambda *_: load(0.5)).changes == [(300, 1)]


def test_down_goes_to_the_most_that_was_needed_in_the_window():
    def told(seconds, _):
        return load(19 if seconds == 100 else 9)

    run = Run(scaling(RPS), current=1, state=steady(1)).go(300, told)
    assert run.changes == [(0, 2), (100, 4)]
    assert run.decisions[-1][1].reasons[0] == "stays at 4: 2 would do now, but within 300 s 4 were needed"
    run.go(120, told)
    assert run.current == 2
    (went_down,) = [seconds for seconds, replicas in run.changes if seconds > 100]
    # A step of the memory and a tick may come on top.
    assert 400 <= went_down <= 407


def test_a_load_at_the_edge_of_a_replica_does_not_flap():
    run = Run(scaling(RPS), current=2, state=steady(2))
    run.go(3000, lambda seconds, _: load(10.4 if int(seconds) % 60 < 10 else 9.9))
    assert run.changes == [(0, 3)]


def test_a_window_of_nothing_lets_it_down_at_once_after_one_step():
    run = Run(scaling(RPS, stabilisation_window_seconds=0), current=3, state=steady(3, seconds=1))
    run.go(20, lambda *_: load(4))
    assert run.current == 1


# Missing data


def test_without_data_it_holds_and_says_why():
    state, decision = decide(scaling(RPS), 4, 4, steady(4), NO_DATA, now=NOW)
    assert (decision.replicas, decision.hold) == (4, True)
    assert decision.reasons == ("held at 4: no load window of the last 60 s",)
    assert state.valid_since is None


def test_after_a_gap_a_whole_window_must_pass_before_it_goes_down():
    run = Run(scaling(RPS), current=4, state=steady(4, last=4))
    run.go(250, lambda *_: load(1)).go(600, lambda *_: NO_DATA).go(298, lambda *_: load(1))
    assert run.changes == []
    run.go(10, lambda *_: load(1))
    assert [replicas for _, replicas in run.changes] == [1]


def test_after_a_gap_it_goes_up_at_once():
    run = Run(scaling(RPS), current=1).go(30, lambda *_: NO_DATA).go(2, lambda *_: load(22))
    assert run.current == 5


@pytest.mark.parametrize(
    ("away_seconds", "replicas"), [(STALE_SECONDS, 1), (STALE_SECONDS + 1, 4)], ids=["short", "long"]
)
def test_a_short_restart_goes_on_and_a_long_one_begins_a_new_window(away_seconds, replicas):
    before = replace(steady(4, seconds=3600), observed_at=at(-away_seconds))
    restored = SCALER_STATES.decode(SCALER_STATES.encode(before))
    _, decision = decide(scaling(RPS), 4, 4, restored, load(1), now=NOW)
    assert decision.replicas == replicas


def test_zero_traffic_is_data_and_lets_it_down():
    assert Run(scaling(RPS), current=4).go(310, lambda *_: load(0)).current == 1


# Latency


def test_latency_alone_adds_nothing_while_replicas_start():
    """The cascade: latency stays high while the cure for it is booting, and must not be cured again."""
    run = Run(scaling(P95), current=1, start_seconds=180, state=steady(1))
    run.go(190, lambda *_: load(9, p95_ms=3000))
    assert run.changes == [(0, 2)]
    said = run.decisions[-10][1].reasons[1]
    assert said == "latency: not judged while replicas start or have just started, 1 of 2 are ready"


def test_latency_may_add_more_once_the_new_replicas_have_settled():
    run = Run(scaling(P95), current=1, start_seconds=60, state=steady(1))
    run.go(100, lambda *_: load(9, p95_ms=3000))
    assert run.changes == [(0, 2), (76, 4)]


def test_throughput_may_add_more_while_replicas_start():
    run = Run(scaling(RPS, P95), current=1, start_seconds=180, state=steady(1))
    run.go(10, lambda *_: load(9, p95_ms=3000)).go(10, lambda *_: load(24, p95_ms=3000))
    assert run.current == 5


@pytest.mark.parametrize("completions", [1, 4])
def test_a_p95_of_a_few_requests_is_chance(completions):
    seen = load(0.1, p95_ms=9000, completions=completions, in_flight=1)
    _, decision = decide(scaling(P95), 2, 2, steady(2), seen, now=NOW)
    assert decision.replicas == 2


def test_low_latency_gives_back_one_replica_per_window():
    run = Run(scaling(P95), current=4, state=steady(4, last=4))
    run.go(1500, lambda *_: load(9, p95_ms=100))
    downs = [seconds for seconds, _ in run.changes]
    assert [replicas for _, replicas in run.changes] == [3, 2, 1]
    assert all(later - earlier >= 300 for earlier, later in pairwise(downs))


def test_low_latency_gives_nothing_back_before_a_minute_of_it_was_seen():
    run = Run(scaling(P95, stabilisation_window_seconds=0), current=2).go(74, lambda *_: load(9, p95_ms=100))
    assert run.changes == []
    assert run.go(10, lambda *_: load(9, p95_ms=100)).current == 1


def test_a_replica_is_kept_when_the_others_could_not_take_its_share():
    assert Run(scaling(P95), current=2).go(1000, lambda *_: load(9, p95_ms=600)).current == 2


def test_a_job_that_is_hardly_used_comes_down_although_there_is_no_p95():
    assert Run(scaling(P95), current=2).go(1000, lambda *_: load(0.01)).current == 1


# Bounds


@pytest.mark.parametrize(
    ("current", "seen", "replicas"),
    [(0, load(), 2), (1, load(), 2), (9, load(40), 6), (9, NO_DATA, 6), (1, NO_DATA, 2)],
    ids=["none", "below", "above", "above without data", "below without data"],
)
def test_the_bounds_hold_whatever_the_data(current, seen, replicas):
    _, decision = decide(scaling(RPS, minimum=2, maximum=6), current, current, ScalerState(), seen, now=NOW)
    assert decision.replicas == replicas


def test_a_job_without_targets_stays_where_it_was_put():
    assert Run(scaling(), current=3).go(1000, lambda *_: load(0)).changes == []


# Zero


def sleeper(**more: int | None):
    return scaling(RPS, minimum=0, maximum=5, **more)


@pytest.mark.parametrize(
    ("more", "asleep_after"),
    [({}, 300), ({"scale_to_zero_after_seconds": 60}, 60), ({"scale_to_zero_after_seconds": 900}, 900)],
    ids=["stabilisation window", "shorter", "longer"],
)
def test_an_idle_job_falls_asleep(more, asleep_after):
    run = Run(sleeper(**more)).go(1000, lambda *_: load(0))
    assert run.changes == [(asleep_after, 0)]
    said = next(decision for seconds, decision in run.decisions if decision.replicas == 0)
    assert said.reasons == (f"asleep: no request for {asleep_after} s",)


def test_a_job_with_a_minimum_never_sleeps():
    assert Run(scaling(RPS)).go(4000, lambda *_: load(0)).current == 1


def test_every_request_keeps_it_awake():
    run = Run(sleeper(scale_to_zero_after_seconds=60))
    assert run.go(3000, lambda seconds, _: load(0.1 if seconds % 50 == 0 else 0)).changes == []


def test_a_long_request_keeps_it_awake():
    run = Run(sleeper(scale_to_zero_after_seconds=60))
    assert run.go(600, lambda *_: load(0, in_flight=1)).changes == []


def test_a_request_that_waits_keeps_it_awake():
    run = Run(sleeper(scale_to_zero_after_seconds=60))
    assert run.go(600, lambda *_: load(0, queued=1, active=False)).changes == []


def test_time_without_data_is_not_idle_time():
    run = Run(sleeper(scale_to_zero_after_seconds=60))
    run.go(50, lambda *_: load(0)).go(200, lambda *_: NO_DATA).go(58, lambda *_: load(0))
    assert run.changes == []


def test_a_job_that_is_still_loading_is_not_sent_to_sleep():
    run = Run(sleeper(scale_to_zero_after_seconds=30), current=0, start_seconds=180)
    run.go(10, lambda *_: load(0.5)).go(195, lambda *_: load(0))
    assert run.current == 1
    assert run.go(10, lambda *_: load(0)).current == 0


def test_a_request_wakes_it():
    spec = sleeper(scale_to_zero_after_seconds=60, activation_replicas=2)
    run = Run(spec).go(100, lambda *_: load(0))
    assert run.current == 0
    run.go(2, lambda *_: load(0.02))
    assert run.current == 2
    assert run.decisions[-1][1].reasons[0] == "awake with 2: a request came"


def test_it_wakes_to_as_many_as_the_load_needs():
    run = Run(sleeper(), current=0).go(2, lambda *_: load(18))
    assert run.current == 4


def test_what_it_woke_with_stays_for_the_window():
    spec = sleeper(scale_to_zero_after_seconds=3000, activation_replicas=3, stabilisation_window_seconds=300)
    run = Run(spec, current=0, state=steady(0)).go(2, lambda *_: load(0.1))
    assert run.go(290, lambda *_: load(0.1)).changes == [(0, 3)]
    assert run.go(30, lambda *_: load(0.1)).current == 1


def test_requests_from_before_it_slept_do_not_wake_it():
    state = replace(steady(0), slept_at=NOW)
    _, decision = decide(sleeper(), 0, 0, state, load(0.1, now=at(-5)), now=at(2))
    assert decision.replicas == 0


@pytest.mark.parametrize("seen", [load(queued=1), load(in_flight=1)], ids=["waiting", "under way"])
def test_a_request_that_has_not_ended_wakes_it(seen):
    _, decision = decide(sleeper(), 0, 0, replace(steady(0), slept_at=at(-60)), seen, now=at(1))
    assert decision.replicas == 1


def test_a_request_that_waits_wakes_it_though_its_routers_clock_is_behind():
    state = replace(steady(0), slept_at=NOW)
    _, decision = decide(sleeper(), 0, 0, state, load(queued=1, now=at(-5)), now=at(2))
    assert decision.replicas == 1


def test_what_waits_counts_as_concurrency():
    seen = load(in_flight=8, queued=17)
    _, decision = decide(scaling(IN_FLIGHT), 1, 1, steady(1), seen, now=NOW)
    assert decision.replicas == 4
    assert "concurrency: 8 in flight and 17 waiting / 8 per replica = 4 replicas" in decision.reasons


def test_as_many_wake_as_those_that_wait_need():
    spec = scaling(IN_FLIGHT, minimum=0, maximum=5)
    _, decision = decide(spec, 0, 0, steady(0), load(queued=20), now=NOW)
    assert decision.replicas == 3


def test_asleep_without_data_it_sleeps_on():
    _, decision = decide(sleeper(), 0, 0, steady(0), NO_DATA, now=NOW)
    assert decision.replicas == 0


# The memory


@pytest.mark.parametrize("window_seconds", [300, 3600])
def test_the_memory_stays_small(window_seconds):
    spec = scaling(RPS, stabilisation_window_seconds=window_seconds)
    run = Run(spec, current=1, tick_seconds=1).go(7200, lambda seconds, _: load(1 + seconds % 40))
    assert len(run.state.samples) <= SAMPLES_MAX + 2
    assert len(SCALER_STATES.encode(run.state)) < 5000


def test_the_memory_survives_json():
    run = Run(sleeper(), current=1).go(400, lambda seconds, _: load(seconds % 20))
    assert SCALER_STATES.decode(SCALER_STATES.encode(run.state)) == run.state
