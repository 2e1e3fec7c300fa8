"""Who knows the traffic to come has what is needed, in time, for less than the most would cost."""

from random import Random

import pytest

from hostler_autoscaler.simulation.engine import EngineModel
from hostler_autoscaler.simulation.references import clairvoyant
from hostler_autoscaler.simulation.references.fixed import FixedAtMax
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import Traffic, of_rows
from tests.unit.autoscaler.simulation.worlds import conditions, poisson

SITE = conditions(
    engine=EngineModel(alpha_ms=20.0, beta_ms=2.0),
    target_latency_ms=8_000.0,
    max_replicas=8,
    initial_replicas=1,
    cold_start_spread=0.1,
)


def steps(seconds: float) -> Traffic:
    """One request a second, then six, in turns of twenty minutes."""
    rng = Random(3)
    rows, at = [], 0.0
    while (at := at + rng.expovariate(1.0 if at % 2400 < 1200 else 6.0)) < seconds:
        rows.append((at, 0, 40 + rng.randrange(200)))
    return of_rows(seconds, rows)


@pytest.mark.parametrize("traffic", [steps(7200), poisson(3600, 3.0, 4)], ids=["steps", "steady"])
def test_it_stays_within_a_point_of_the_most_for_fewer_hours(traffic) -> None:
    def draw():
        return Random(1).random

    most = run(traffic, SITE, FixedAtMax(), draw=draw())
    plan, outcome = clairvoyant.best_plan(traffic, SITE, most.attainment, draw)
    assert outcome.attainment >= most.attainment - 1
    assert outcome.replica_hours < 0.75 * most.replica_hours
    assert run(traffic, SITE, plan, draw=draw()).attainment == outcome.attainment


def test_where_nothing_less_does_it_is_the_most() -> None:
    traffic = poisson(1200, 30.0, 5)
    most = run(traffic, SITE, FixedAtMax(), draw=Random(1).random)
    _, outcome = clairvoyant.best_plan(traffic, SITE, most.attainment, lambda: Random(1).random)
    assert outcome.attainment >= most.attainment - 1


def test_work_is_what_the_replicas_are_busy_with() -> None:
    # Half as slow again as an idle one: 5 active at 30 ms a token.
    traffic = of_rows(61.0, [(0.0, 0, 100), (29.0, 0, 100), (31.0, 0, 50)])
    assert clairvoyant.work_by_step(traffic, SITE) == pytest.approx([200 * 0.006 / 30, 50 * 0.006 / 30, 0])


def test_work_is_averaged_over_the_step_before_as_well() -> None:
    assert clairvoyant.averaged([0, 4, 0, 0], 2) == [2, 2, 2, 0]


def test_what_is_needed_is_wanted_a_cold_start_before_and_no_longer_than_needed() -> None:
    # 180 s and a fifth are eight steps of 30 s.
    work = [1.0] * 10 + [3.0] * 2 + [1.0] * 3
    assert clairvoyant.wanted_by_step(work, SITE, 1.0) == [1] * 2 + [3] * 10 + [1] * 3
    assert clairvoyant.wanted_by_step(work, SITE, 4.0) == [4] * 2 + [8] * 10 + [4] * 3
