"""The rules of other systems, each by cases worked by hand."""

from dataclasses import dataclass

import pytest

from hostler_autoscaler.simulation.references.aibrix import Apa
from hostler_autoscaler.simulation.references.catalogue import REFERENCES, named
from hostler_autoscaler.simulation.references.cooldowns import Dstack, SkyServe
from hostler_autoscaler.simulation.references.dynamo import DynamoLike
from hostler_autoscaler.simulation.references.fixed import FixedAtMax, Planned
from hostler_autoscaler.simulation.references.hpa import Hpa
from hostler_autoscaler.simulation.references.knative import Kpa
from hostler_autoscaler.simulation.references.ray_serve import RayServe


@dataclass
class Seen:
    """What a policy is shown, by hand: 10 rps a replica, 1 s, window of 300 s."""

    t: float = 0.0
    rps: float | None = 0.0
    ready: int = 1
    starting: int = 0
    p95_ms: float | None = None
    in_flight: int | None = 0
    queued: int | None = 0
    concurrency: float | None = 0.0
    recent_rps: float | None = None
    min_replicas: int = 1
    max_replicas: int = 20
    target_rps: float = 10.0
    target_latency_ms: float = 1000.0
    stabilisation_s: float = 300.0

    def rps_over(self, seconds: float) -> float | None:
        return self.recent_rps if seconds < 60 and self.recent_rps is not None else self.rps

    def concurrency_over(self, seconds: float) -> float | None:
        assert seconds == 30
        return self.concurrency


def answers(policy, *seen: Seen) -> list[int | None]:
    return [policy.decide(each) for each in seen]


@pytest.mark.parametrize(
    ("present", "rps", "wanted"),
    [
        (2, 21.9, 2),  # within a tenth of 20
        (2, 22.1, 3),
        (2, 30.0, 3),
        (2, 90.0, 6),  # 9, but at most 4 more
        (6, 190.0, 12),  # 19, but at most twice as many
        (10, 109.0, 10),
        (1, None, None),
    ],
)
def test_hpa_follows_the_rate_within_its_tolerance_and_its_pace(present, rps, wanted) -> None:
    assert Hpa(latency=False).decide(Seen(rps=rps, ready=present)) == wanted


def test_hpa_goes_down_to_the_highest_proposal_of_the_window() -> None:
    hpa = Hpa(latency=False)
    falling = [(0, 80.0), (15, 60.0), (30, 30.0), (300, 30.0), (301, 30.0), (316, 30.0)]
    assert answers(hpa, *(Seen(t=t, rps=rps, ready=8) for t, rps in falling)) == [8, 8, 8, 8, 6, 3]


def test_hpa_takes_what_it_finds_for_its_first_proposal() -> None:
    hpa = Hpa(latency=False)
    assert answers(hpa, *(Seen(t=t, rps=30.0, ready=8) for t in (0, 300, 301))) == [8, 8, 3]


def test_hpa_counts_on_starting_replicas_where_the_rate_is_concerned() -> None:
    hpa = Hpa(latency=False)
    assert answers(hpa, Seen(rps=40.0, ready=2), Seen(t=15, rps=40.0, ready=2, starting=2)) == [4, 4]


@pytest.mark.parametrize(
    ("p95_ms", "ready", "wanted"),
    [
        (2000.0, 4, 8),
        (1090.0, 4, 4),  # within the tolerance
        (1300.0, 4, 6),
        (2000.0, 2, 4),  # ready ones times the ratio, as many as there are
        (500.0, 4, 4),  # the rate wants 4
        (None, 4, 4),
    ],
)
def test_hpa_takes_the_larger_of_rate_and_latency(p95_ms, ready, wanted) -> None:
    seen = Seen(rps=40.0, ready=ready, starting=4 - ready, p95_ms=p95_ms)
    assert Hpa(latency=True).decide(seen) == wanted


def test_hpa_does_not_go_down_while_one_metric_is_missing() -> None:
    assert Hpa(latency=True).decide(Seen(rps=10.0, ready=4, p95_ms=None)) is None


@pytest.mark.parametrize(
    ("stable", "recent", "ready", "wanted"),
    [
        (35.0, 35.0, 5, 5),  # 7 rps a replica: 70 % of the target
        (36.0, 36.0, 5, 6),
        (7.0, 7.0, 8, 4),  # half of them at a time
        (35.0, 70.0, 5, 10),  # panic: twice the ready ones
        (35.0, 62.0, 5, 5),  # 9 is not yet twice 5
        (None, None, 5, None),
    ],
)
def test_kpa_follows_the_minute_and_panics_on_six_seconds(stable, recent, ready, wanted) -> None:
    assert Kpa().decide(Seen(rps=stable, recent_rps=recent, ready=ready)) == wanted


def test_kpa_keeps_the_most_of_its_panic_for_a_minute_and_drops_what_still_starts_after_it() -> None:
    kpa = Kpa()
    calm = {"rps": 7.0, "recent_rps": 7.0, "ready": 1, "starting": 3}
    seen = [Seen(t=0, rps=7.0, recent_rps=28.0), Seen(t=2, **calm), Seen(t=60, **calm), Seen(t=62, **calm)]
    assert answers(kpa, *seen) == [4, 4, 4, 1]


def test_ray_waits_for_half_a_minute_of_wishes_up_and_ten_minutes_down() -> None:
    ray = RayServe(5.0)
    up = [Seen(t=t, concurrency=21.0, ready=2) for t in (0, 10, 20, 30)]
    assert answers(ray, *up) == [2, 2, 2, 5]
    down = [Seen(t=t, concurrency=8.0, ready=5) for t in (40, 630, 640)]
    assert answers(ray, *down) == [5, 5, 2]


def test_ray_begins_anew_when_one_look_wishes_otherwise() -> None:
    ray = RayServe(5.0)
    wishes = [(0, 21.0), (20, 9.0), (30, 21.0), (50, 21.0), (60, 21.0)]
    assert answers(ray, *(Seen(t=t, concurrency=each, ready=2) for t, each in wishes)) == [2, 2, 2, 2, 5]


def test_ray_starts_the_first_replica_at_once() -> None:
    assert RayServe(5.0).decide(Seen(concurrency=1.0, ready=0, min_replicas=0)) == 1


def test_dstack_waits_after_each_change_five_minutes_up_and_ten_down() -> None:
    moves = [(0, 25.0), (15, 45.0), (299, 45.0), (300, 45.0), (899, 5.0), (900, 5.0)]
    assert answers(Dstack(), *(Seen(t=t, rps=rps) for t, rps in moves)) == [3, 3, 3, 5, 5, 1]


def test_dstack_keeps_what_it_has_without_data_and_wakes_at_once() -> None:
    assert Dstack().decide(Seen(rps=None, ready=3)) is None
    dstack = Dstack()
    moves = [Seen(t=0, rps=0.0, ready=1, min_replicas=0), Seen(t=20, rps=1.0, ready=0, min_replicas=0)]
    assert answers(dstack, *moves) == [0, 1]


def test_skyserve_needs_fifteen_looks_up_and_sixty_down() -> None:
    sky = SkyServe()
    up = [sky.decide(Seen(t=20.0 * look, rps=25.0)) for look in range(15)]
    assert up == [1] * 14 + [3]
    down = [sky.decide(Seen(t=300 + 20.0 * look, rps=5.0, ready=3)) for look in range(60)]
    assert down == [3] * 59 + [1]


def test_skyserve_counts_looks_from_the_last_that_wished_otherwise() -> None:
    sky = SkyServe()
    looks = [25.0] * 14 + [5.0] + [25.0] * 14
    assert {sky.decide(Seen(rps=rps)) for rps in looks} == {1}


@pytest.mark.parametrize(
    ("under_way", "ready", "starting", "wanted"),
    [
        (10, 2, 0, 2),
        (11, 2, 0, 2),  # within the tolerance
        (15, 2, 0, 3),
        (40, 2, 0, 4),  # at most twice as many
        (30, 2, 2, 8),  # and again while they load: ready ones are measured, all are multiplied
    ],
)
def test_apa_multiplies_all_by_the_use_of_the_ready_ones(under_way, ready, starting, wanted) -> None:
    seen = Seen(in_flight=under_way - 1, queued=1, ready=ready, starting=starting)
    assert Apa(5.0).decide(seen) == wanted


def test_apa_goes_down_to_the_highest_of_five_minutes() -> None:
    apa = Apa(5.0)
    seen = [Seen(t=t, in_flight=busy, ready=4) for t, busy in ((0, 20), (300, 5), (301, 5))]
    assert answers(apa, *seen) == [4, 4, 2]


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (Seen(rps=45.0, p95_ms=700.0, ready=3), 5),
        (Seen(rps=25.0, p95_ms=1100.0, ready=3), 4),
        (Seen(rps=15.0, p95_ms=590.0, ready=3), 2),  # 590 * 3 / 2 = 885 is below 900
        (Seen(rps=15.0, p95_ms=610.0, ready=3), None),  # 915 is not
        (Seen(rps=45.0, p95_ms=700.0, ready=3, starting=1), None),
        (Seen(rps=0.0, p95_ms=None, ready=3), None),
    ],
)
def test_dynamo_like_decides_only_at_rest_and_lets_one_go_if_the_others_bear_it(seen, wanted) -> None:
    assert DynamoLike().decide(seen) == wanted


def test_the_most_and_a_plan_look_at_no_metrics() -> None:
    assert FixedAtMax().decide(Seen(rps=None)) == 20
    plan = Planned([2, 4, 3], 30.0)
    assert answers(plan, *(Seen(t=t) for t in (0, 29, 30, 61, 500))) == [2, 2, 4, 3, 3]


def test_each_has_a_name() -> None:
    made = {name: named(name, target_concurrency=4.0) for name in REFERENCES}
    assert all(policy is not None and policy.interval > 0 for policy in made.values())
    assert (
        len({type(policy) for policy in made.values()}) == len(made) - 1
    )  # HPA is there with and without latency
    assert named("none of them", target_concurrency=4.0) is None
