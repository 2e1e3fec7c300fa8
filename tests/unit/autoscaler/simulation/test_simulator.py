"""What queueing theory says of the simulator, and what becomes of each request and each replica."""

from random import Random

import pytest

from hostler_autoscaler.simulation.engine import EngineModel
from hostler_autoscaler.simulation.simulator import _Run
from hostler_autoscaler.simulation.traffic import Traffic, of_rows
from tests.unit.autoscaler.simulation.worlds import Says, conditions, poisson, served


def test_littles_law_holds() -> None:
    outcome, _ = served(poisson(20_000, 3.0, 1), initial_replicas=2)
    rate = outcome.requests / 20_000
    # Counted once a minute, from the replicas; the latencies are counted at the ends.
    under_way = sum(sample.outstanding for sample in outcome.samples[5:330]) / 325
    assert under_way == pytest.approx(rate * outcome.mean_ms / 1000, rel=0.05)


def test_one_at_a_time_of_equal_length_wait_as_theory_says() -> None:
    one = EngineModel(alpha_ms=10.0, beta_ms=0.0, active_max=1)
    outcome, _ = served(poisson(60_000, 0.6, 2), engine=one)
    # M/D/1 with a service of 1 s: 1 + load / (2 (1 - load)).
    assert outcome.mean_ms == pytest.approx(1000 * (1 + 0.6 / 0.8), rel=0.04)


def test_a_replica_that_all_share_is_as_slow_as_theory_says_whatever_the_lengths() -> None:
    shared = EngineModel(alpha_ms=0.0, beta_ms=10.0)
    even, _ = served(poisson(60_000, 0.6, 3), engine=shared)
    mixed, _ = served(poisson(60_000, 0.6, 4, lambda rng: rng.choice((20, 180))), engine=shared)
    # Processor sharing: service / (1 - load), however long the single one is.
    assert even.mean_ms == pytest.approx(2500, rel=0.06)
    assert mixed.mean_ms == pytest.approx(2500, rel=0.06)


def restless(obs) -> int:
    """Up and down all the time."""
    return 1 + int(obs.t / 10) * 7 % 6


def test_every_request_ends_once_whatever_starts_drains_fails_and_dies() -> None:
    rng = Random(5)
    count = 4000
    arrivals = sorted(rng.uniform(0, 2000) for _ in range(count))
    # Each answer has a length of its own, by which it is recognised.
    traffic = of_rows(2000.0, [(at, 5, 1 + number) for number, at in enumerate(arrivals)])
    served_one = _Run(
        traffic,
        conditions(
            engine=EngineModel(alpha_ms=1.0, beta_ms=0.1, prefill_ms_per_token=0.5, active_max=8),
            cold_start_seconds=15.0,
            cold_start_spread=0.4,
            boot_failure_share=0.3,
            life_seconds=200.0,
            outstanding_max=12,
        ),
        Says(restless),
        rng.random,
    )
    outcome = served_one.outcome()
    assert outcome.failed_boots > 0
    assert outcome.unfinished == 0
    assert sorted(served_one._history.answers) == list(range(1, count + 1))


def test_the_same_seed_gives_the_same_outcome_to_the_byte() -> None:
    def one(seed: int) -> bytes:
        outcome, _ = served(
            poisson(3000, 2.0, 6),
            Says(restless),
            seed=seed,
            cold_start_spread=0.3,
            boot_failure_share=0.2,
            life_seconds=500.0,
        )
        return repr(outcome).encode()

    assert one(1) == one(1)
    assert one(1) != one(2)


TWO_LONG = of_rows(200.0, [(1.0, 0, 5000), (2.0, 0, 5000), (100.0, 0, 1)])
"""The first two take 105 s each on a replica of their own."""


def test_a_draining_replica_finishes_what_it_has_gets_nothing_new_and_is_paid_until_then() -> None:
    outcome, policy = served(TWO_LONG, Says(lambda _: 1), initial_replicas=2, target_latency_ms=105_001)
    draining = [(obs.t, obs.ready, obs.draining) for obs in policy.seen]
    # The least busy one goes, the first of equals: its request came at 1 s and takes 105 s.
    assert draining[1] == (70.0, 1, 1)
    assert draining[4:6] == [(100.0, 1, 1), (110.0, 1, 0)]
    # The third shares the replica that stays, which costs the second 21 more milliseconds for one token; so two meet it.
    assert outcome.met == 2
    assert outcome.replica_seconds == pytest.approx(200 + 106)


def test_the_least_busy_replica_is_drained() -> None:
    # The first replica has two of them, which last until 218 s; the second has one, until 212 s.
    traffic = of_rows(300.0, [(1.0, 0, 10_000), (2.0, 0, 10_000), (3.0, 0, 5000)])
    outcome, _ = served(traffic, Says(lambda _: 1), initial_replicas=2)
    assert outcome.replica_seconds == pytest.approx(300 + 212)


def test_an_idle_replica_that_is_too_much_ends_at_once() -> None:
    outcome, _ = served(of_rows(200.0, []), Says(lambda _: 1), initial_replicas=3)
    assert outcome.replica_seconds == 200 + 2 * 60


def test_starting_replicas_are_cancelled_before_any_is_drained_the_newest_first() -> None:
    wanted = {60.0: 2, 70.0: 3, 80.0: 2}
    outcome, policy = served(
        TWO_LONG, Says(lambda obs: wanted.get(obs.t)), initial_replicas=1, cold_start_seconds=500.0
    )
    assert policy.seen[3].starting_ages == (30.0,)
    assert policy.seen[3].ready == 1
    assert outcome.launches == 2
    assert outcome.replica_seconds == pytest.approx(200 + 140 + 10)


def test_a_replica_serves_after_its_cold_start_what_has_waited_in_the_router() -> None:
    outcome, policy = served(
        of_rows(400.0, [(10.0, 0, 100)]),
        Says(lambda _: 1),
        initial_replicas=0,
        cold_start_seconds=100.0,
    )
    assert (policy.seen[0].queued, policy.seen[0].queue_age_s, policy.seen[0].in_flight) == (1, 50.0, 0)
    # Launched at 60 s, ready at 160 s, 100 tokens of 21 ms.
    assert outcome.p50_ms == pytest.approx(150_000 + 2100)


def test_a_boot_that_fails_is_launched_anew_at_the_next_tick_and_paid_for() -> None:
    outcome, policy = served(
        of_rows(300.0, []), Says(lambda _: 2), cold_start_seconds=55.0, boot_failure_share=1.0
    )
    ages = [(obs.t, obs.starting_ages) for obs in policy.seen[5:8]]
    assert ages == [(110.0, (50.0,)), (120.0, ()), (130.0, (10.0,))]
    assert (outcome.launches, outcome.failed_boots) == (4, 4)
    # 60 to 115, 120 to 175, 180 to 235, 240 to 295; one is launched at 300 s, when the bill is made.
    assert outcome.replica_seconds == pytest.approx(300 + 4 * 55)
    assert [(change.at, change.before, change.after) for change in outcome.changes] == [(60.0, 1, 2)]


def test_cold_starts_spread_around_their_middle() -> None:
    ready: list[float] = []
    for seed in range(60):
        _, policy = served(
            of_rows(400.0, []),
            Says(lambda _: 2, interval=1.0),
            seed=seed,
            cold_start_seconds=100.0,
            cold_start_spread=0.2,
        )
        ready.append(next(obs.t for obs in policy.seen if obs.ready == 2) - 60)
    ready.sort()
    assert ready[30] == pytest.approx(100, rel=0.08)
    # 95 of 100 lie within two standard deviations of the logarithm.
    assert ready[0] > 55
    assert ready[-1] < 180
    assert ready[-4] > 120


def test_the_router_keeps_what_no_replica_has_room_for_and_sends_it_on() -> None:
    outcome, policy = served(
        of_rows(100.0, [(1.0, 0, 5000), (2.0, 0, 100), (3.0, 0, 100)]),
        initial_replicas=1,
        outstanding_max=1,
    )
    assert (policy.seen[0].in_flight, policy.seen[0].queued) == (1, 2)
    # 1 to 106 s, then one after the other, 2.1 s each.
    assert outcome.p50_ms == pytest.approx((108.1 - 2) * 1000)


def test_requests_go_to_the_replica_with_the_fewest() -> None:
    outcome, _ = served(
        of_rows(100.0, [(1.0, 0, 1000), (1.5, 0, 1000), (1.6, 0, 10)]),
        initial_replicas=3,
    )
    # Nobody shares: 10 tokens of 21 ms, and 1000 twice.
    assert outcome.p95_ms == pytest.approx(21_000)
    assert outcome.mean_ms == pytest.approx((21_000 * 2 + 210) / 3)


def test_what_a_dead_replica_had_is_served_by_the_others() -> None:
    outcome, _ = served(
        of_rows(2000.0, [(1.0, 0, 5000)]), Says(lambda _: 1), life_seconds=40.0, cold_start_seconds=10.0
    )
    assert outcome.unfinished == 0
    assert outcome.p50_ms > 105_000
    assert outcome.launches > 3


def test_the_number_stays_within_the_bounds() -> None:
    outcome, _ = served(
        of_rows(300.0, []),
        Says(lambda obs: 99 if obs.t < 100 else -5),
        initial_replicas=3,
        min_replicas=2,
        max_replicas=4,
    )
    assert [(change.before, change.after) for change in outcome.changes] == [(3, 4), (4, 2)]


def test_requests_that_nothing_serves_are_given_up_after_hours_and_count_as_missed() -> None:
    outcome, _ = served(of_rows(100.0, [(1.0, 0, 5)]), initial_replicas=0, min_replicas=0)
    assert (outcome.requests, outcome.met, outcome.unfinished) == (1, 0, 1)


def test_no_traffic_is_full_attainment() -> None:
    outcome, _ = served(Traffic(100.0, [], [], []))
    assert outcome.attainment == 100.0
    assert outcome.mean_ms is None
