"""How many replicas, and why."""

from dataclasses import replace

import pytest

from hostler_autoscaler.backoff import Backoff
from hostler_autoscaler.decide import decide
from hostler_autoscaler.holding import Holding
from hostler_autoscaler.observation import LoadSignals
from hostler_autoscaler.policy_state import PolicyState
from hostler_domain.scaling import ScalingMetric, ScalingTarget
from tests.support.builders import at
from tests.unit.autoscaler.policy_runs import IN_FLIGHT, NO_DATA, P95, RPS, Run, load, proposal, scaling, seen

HALF = ScalingTarget(ScalingMetric.THROUGHPUT, 10.0, percentage=50)


@pytest.mark.parametrize(
    ("targets", "told", "replicas", "said"),
    [
        ((RPS,), load(12.4), 3, "rate: 12.4 rps over 60 s / 5 rps per replica = 2.48: 3 replicas"),
        ((RPS,), load(0.01), 1, "rate: 0.01 rps over 60 s / 5 rps per replica = 0.00: 0 replicas"),
        ((HALF,), load(12.4), 3, "rate: 12.4 rps over 60 s / 5 rps per replica = 2.48: 3 replicas"),
        (
            (IN_FLIGHT,),
            load(in_flight=12, queued=5),
            3,
            "concurrency: 17 in flight and waiting / 8 per replica = 2.12: 3 replicas",
        ),
        ((RPS,), load(500), 10, "ceiling: max_replicas 10, 100 would be needed"),
    ],
    ids=["rate", "small rate", "percentage", "concurrency", "bounds"],
)
def test_each_target_has_its_proposal_and_says_so(targets, told, replicas, said):
    _, decision = decide(PolicyState(), seen(told), scaling(*targets))
    assert decision.replicas == replicas
    assert said in decision.reasons


def test_the_largest_proposal_wins_is_the_reason_and_every_one_is_told():
    _, decision = decide(PolicyState(), seen(load(12.4, in_flight=39), desired=2), scaling(RPS, IN_FLIGHT))
    assert decision.replicas == 5
    assert decision.reason.startswith("up from 2 to 5: concurrency: 39 in flight")
    assert [each.kind for each in decision.proposals] == ["rate", "concurrency"]
    assert [each.numbers["need"] for each in decision.proposals] == [2.48, 4.875]


@pytest.mark.parametrize(("rps", "replicas"), [(10.0, 2), (10.2, 2), (10.3, 3), (15.2, 3), (15.3, 4)])
def test_a_little_more_than_whole_replicas_of_load_needs_no_other_one(rps, replicas):
    _, decision = decide(PolicyState(), seen(load(rps)), scaling(RPS))
    assert decision.replicas == replicas


def test_up_is_at_once_and_never_twice_for_the_same_need():
    run = Run(scaling(RPS), cold=180).go(180, load(12.4))
    assert run.changes == [(0, 3)]


def test_a_sudden_rise_counts_from_its_first_twenty_seconds():
    _, decision = decide(PolicyState(), seen(load(6, rps_20=18), desired=2), scaling(RPS))
    assert decision.replicas == 4
    assert "18 rps over 20 s" in decision.reason


def test_a_rise_within_chance_waits_for_the_minute():
    _, decision = decide(PolicyState(), seen(load(6, rps_20=7.4), desired=2), scaling(RPS))
    assert decision.replicas == 2


def test_requests_that_pile_up_ask_for_more_than_the_rate():
    run = Run(scaling(RPS, P95, maximum=20), current=2).go(10, load(9.5, in_flight=200))
    assert run.current > 2
    assert "backlog: 200 requests, 6 meant for 2 ready" in run.last.reason


def test_requests_that_wait_count_where_nobody_knows_what_a_replica_may_have():
    _, decision = decide(PolicyState(), seen(load(9.5, in_flight=10, queued=600), desired=2), scaling(RPS))
    assert proposal(decision, "backlog").numbers["meant"] == 10
    assert decision.replicas > 2


def test_what_will_pile_up_until_help_arrives_is_asked_for_at_once_and_not_again():
    """Later there are more requests and less time left, so the need is the same."""
    spec = scaling(RPS, P95, maximum=40)
    early = seen(load(30, in_flight=100), desired=2, cold=100)
    late = seen(load(30, in_flight=100 + 17 * 90), desired=14, starting=(90.0,) * 12, cold=100)
    needs = [
        proposal(decide(PolicyState(), each, spec)[1], "backlog").numbers["need"] for each in (early, late)
    ]
    assert needs[0] == pytest.approx(needs[1], rel=0.01)


def test_full_caches_count_only_while_requests_wait():
    spec = scaling(RPS)
    _, waits = decide(PolicyState(), seen(load(9, queued=9, in_flight=300, kv=0.99), desired=4), spec)
    _, calm = decide(PolicyState(), seen(load(9, in_flight=300, kv=0.99), desired=4), spec)
    assert (waits.replicas, calm.replicas) == (5, 4)


def test_a_steady_rise_is_met_one_cold_start_ahead():
    def told(seconds, _):
        return load(4 + seconds / 120)

    near = Run(scaling(RPS), cold=10).go(1500, told)
    far = Run(scaling(RPS), cold=300).go(1500, told)
    assert far.changes[1][0] < near.changes[1][0]
    assert proposal(far.last, "forecast").numbers["seconds"] == 300


def test_those_that_should_have_come_long_ago_are_asked_for_again():
    run = Run(scaling(RPS), never=True, cold=60).go(170, load(9)).go(20, load(9))
    assert run.changes == [(0, 2)]
    run.go(20, load(9))
    assert run.current == 3
    assert "1 that should have come long ago will not" in run.decisions[-1][1].reason


# Down


def test_a_job_just_taken_over_is_not_scaled_down_for_a_whole_window():
    run = Run(scaling(RPS), current=3).go(300, load(0.5))
    assert run.changes == []
    assert run.last.hold
    assert run.last.reason == "held at 3, 1 would do: 290 s of good news, not yet 300 s"
    assert run.go(10, load(0.5)).changes == [(300, 2)]


def test_down_follows_the_most_that_was_needed_in_the_window():
    run = Run(scaling(RPS), current=4).go(400, load(9)).go(20, load(14)).go(280, load(9))
    assert run.changes == [(300, 3), (360, 2), (400, 3)]
    assert "2.80 were needed within" in run.last.reason
    # It went up soon after it had gone down, so the window is twice as long.
    assert run.go(200, load(9)).current == 3
    assert run.go(100, load(9)).current == 2


def test_it_goes_down_a_quarter_a_minute():
    run = Run(scaling(RPS, maximum=20), current=16).go(300 + 125, load(1))
    assert run.changes == [(300, 12), (360, 9), (420, 7)]


def test_those_that_stay_must_carry_the_load_with_a_little_to_spare():
    assert Run(scaling(RPS), current=3).go(900, load(9.3)).changes == []
    assert Run(scaling(RPS), current=3).go(900, load(9.1)).current == 2


def test_nothing_goes_while_requests_wait():
    run = Run(scaling(RPS), current=3).go(900, load(1, in_flight=2, queued=1))
    assert run.current == 3
    assert "1 requests wait" in run.last.reason


def test_a_window_of_nothing_lets_it_down_after_the_minute_that_a_look_tells_of_and_at_once():
    assert Run(scaling(RPS, window=0), current=8).go(90, load(4)).changes == [(60, 1)]


def test_a_long_cold_start_makes_the_window_longer():
    run = Run(scaling(RPS), current=2, cold=600).go(600, load(1))
    assert run.changes == []
    assert run.go(20, load(1)).current == 1


def test_where_a_latency_tells_what_is_missed_a_long_cold_start_makes_the_window_no_longer():
    run = Run(scaling(RPS, P95), current=2, cold=600).go(320, load(1, in_flight=1, p95_ms=300.0))
    assert run.current == 1


def test_a_job_that_missed_what_it_gave_back_keeps_it_longer_the_next_time():
    def told(seconds, _):
        return load(8 if seconds % 900 < 120 else 2)

    run = Run(scaling(RPS), current=2).go(5000, told)
    downs = [seconds for seconds, replicas in run.changes if replicas == 1]
    assert downs[0] < 500
    assert len(downs) < 5


BURSTS_SECONDS = 1500


def bursts(seconds: float, ready: int) -> LoadSignals:
    """Of 2 minutes, each 25: two replicas' worth of load, then five."""
    burst = seconds % BURSTS_SECONDS >= BURSTS_SECONDS - 120
    rps, p95_ms = (28, 5000.0 if ready < 5 else 500.0) if burst else (9, 500.0)
    return load(
        rps, in_flight=round(rps * p95_ms / 2500), p95_ms=p95_ms, mean_ms=p95_ms / 2.5, token_ms=p95_ms / 20
    )


def test_replicas_are_held_for_bursts_that_come_again_when_being_late_costs_more():
    run = Run(scaling(RPS, P95, maximum=8), current=2, cold=180)
    run.go(6 * BURSTS_SECONDS, bursts)
    assert [
        seconds for seconds, replicas in run.changes if replicas < 5 and seconds > 2 * BURSTS_SECONDS + 600
    ] == []


def test_replicas_are_not_held_for_bursts_in_which_nobody_is_late():
    run = Run(scaling(RPS, P95, maximum=8), current=2, cold=180)
    run.go(4 * BURSTS_SECONDS, lambda seconds, _: bursts(seconds, 5))
    assert [replicas for seconds, replicas in run.changes if replicas == 2 and seconds > 2 * BURSTS_SECONDS]


@pytest.mark.parametrize(
    ("window", "left"), [(300, 5), (0, 2)], ids=["no more than were missed", "none without a window"]
)
def test_of_what_was_needed_as_many_are_held_as_were_missed(window, left):
    missed = Holding(seconds=3000.0, used_at=at(0).timestamp(), replicas=5, base=2)
    run = Run(scaling(RPS, P95, window=window), current=9, state=PolicyState(holding=missed))
    run.go(600, load(42, in_flight=9, p95_ms=300.0)).go(1500, load(9, in_flight=2, p95_ms=300.0))
    assert run.current == left


@pytest.mark.parametrize(
    ("targets", "level"), [((RPS,), 2.585), ((RPS, P95), 1.0)], ids=["half an hour", "judged by its cost"]
)
def test_a_surge_soon_after_a_step_down(targets, level):
    state = PolicyState(backoff=Backoff().went_down(at(-60).timestamp()))
    after, _ = decide(state, seen(load(30, p95_ms=300.0), desired=2), scaling(*targets))
    assert after.backoff.level == level


def test_a_backlog_is_held_for_the_plain_window_though_a_surge_is_remembered_for_longer():
    spec = scaling(RPS, maximum=20)
    run = Run(spec, current=2).go(310, load(9)).go(20, load(30, in_flight=40, queued=3000))
    peak = run.current
    run.go(310, load(30)).go(300, load(9))
    assert peak > 6
    assert 6 <= run.current < peak


# Missing news


def test_without_news_it_holds_and_says_why():
    state, decision = decide(PolicyState(valid_since=1.0), seen(NO_DATA, desired=4), scaling(RPS))
    assert (decision.replicas, decision.hold) == (4, True)
    assert decision.reason == "held at 4: no load window of the last 60 s"
    assert state.valid_since is None


def test_after_a_gap_a_whole_window_must_pass_before_it_goes_down():
    run = Run(scaling(RPS), current=4).go(250, load(1)).go(600, NO_DATA).go(300, load(1))
    assert run.changes == []
    assert run.go(10, load(1)).current == 3


def test_after_a_gap_it_goes_up_at_once():
    assert Run(scaling(RPS)).go(30, NO_DATA).go(10, load(22)).current == 5


@pytest.mark.parametrize(("away", "replicas"), [(60, 3), (70, 4)], ids=["short", "long"])
def test_a_short_restart_goes_on_and_a_long_one_begins_a_new_window(away, replicas):
    run = Run(scaling(RPS), current=4).go(300, load(1))
    restored = PolicyState.from_json(run.state.to_json())
    late = seen(load(1), desired=4, seconds=290 + away)
    _, decision = decide(restored, late, scaling(RPS))
    assert decision.replicas == replicas


def test_zero_traffic_is_news_and_lets_it_down():
    assert Run(scaling(RPS), current=4).go(700, load(0)).current == 1


# Latency before anything is learned


def test_latency_alone_adds_nothing_while_replicas_start():
    """The cascade: latency stays high while the cure for it is booting, and must not be cured again."""
    run = Run(scaling(P95), cold=180).go(260, load(9, p95_ms=3000, in_flight=5))
    assert [replicas for _, replicas in run.changes] == [2]


def test_latency_may_add_more_once_the_new_replicas_have_settled():
    run = Run(scaling(P95), cold=60).go(300, load(9, p95_ms=3000, in_flight=5))
    assert [replicas for _, replicas in run.changes] == [2, 4]


def test_beside_a_rate_the_latency_must_be_clearly_too_high():
    run = Run(scaling(RPS, P95), current=2).go(120, load(9, p95_ms=1080, in_flight=5))
    assert run.changes == []
    run.go(30, load(9, p95_ms=1400, in_flight=5))
    assert run.current == 3


def test_beside_a_rate_the_latency_of_a_line_that_gets_shorter_asks_for_nothing():
    told = replace(load(9, p95_ms=5000, in_flight=50), concurrency=70.0, concurrency_20=60.0)
    assert Run(scaling(RPS, P95), current=2).go(200, told).changes == []


@pytest.mark.parametrize("completions", [1, 4])
def test_a_p95_of_a_few_requests_is_chance(completions):
    told = load(0.1, p95_ms=9000, completions=completions, in_flight=1)
    assert Run(scaling(P95), current=2).go(400, told).changes == []


def test_low_latency_gives_back_one_replica_per_window():
    run = Run(scaling(P95), current=3).go(1500, load(9, p95_ms=100, in_flight=1))
    assert [replicas for _, replicas in run.changes] == [2, 1]
    assert run.changes[1][0] - run.changes[0][0] >= 300


def test_a_replica_is_kept_when_the_others_could_not_take_its_share():
    assert Run(scaling(P95), current=2).go(1000, load(9, p95_ms=600, in_flight=1)).changes == []


def test_a_job_that_is_hardly_used_comes_down_although_there_is_no_p95():
    assert Run(scaling(P95), current=2).go(1000, load(0.01)).current == 1


# Bounds


@pytest.mark.parametrize(
    ("current", "told", "replicas"),
    [(0, load(), 2), (1, load(), 2), (9, load(40), 6), (9, NO_DATA, 6), (1, NO_DATA, 2)],
    ids=["none", "below", "above", "above without news", "below without news"],
)
def test_the_bounds_hold_whatever_the_news(current, told, replicas):
    _, decision = decide(PolicyState(), seen(told, desired=current), scaling(RPS, minimum=2, maximum=6))
    assert decision.replicas == replicas


def test_a_floor_that_is_raised_is_no_regret():
    run = Run(scaling(RPS), current=2).go(400, load(1))
    assert run.current == 1
    run.spec = scaling(RPS, minimum=3)
    assert run.go(10, load(1)).current == 3
    assert run.state.backoff.level == 0
    assert proposal(run.last, "floor").replicas == 3


def test_a_job_without_targets_stays_where_it_was_put():
    assert Run(scaling(), current=3).go(1000, load(0)).changes == []


def test_the_same_state_and_observation_give_the_same_decision_whatever_came_between():
    run = Run(scaling(RPS), current=2).go(200, load(7))
    observation = seen(load(11), desired=2, seconds=200)
    first = decide(run.state, observation, run.spec)
    run.go(100, load(50))
    again = decide(PolicyState.from_json(first[0].to_json()), replace(observation), run.spec)
    assert first[1] == again[1]
