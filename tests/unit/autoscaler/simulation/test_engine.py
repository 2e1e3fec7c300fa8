"""A replica with continuous batching, worked by hand."""

import pytest

from hostler_autoscaler.simulation.engine import Engine, EngineModel

NEVER = float("inf")


def ends_of(engine: Engine, first: float) -> list[tuple[int, float]]:
    """All that it has, run to its end."""
    ended, at = [], first
    while at < NEVER:
        now = at
        request, at = engine.finish(now)
        ended.append((request, round(now, 9)))
    return ended


def test_a_request_alone_takes_its_prefill_and_a_token_time_per_token() -> None:
    engine = Engine(EngineModel(alpha_ms=20, beta_ms=5, prefill_ms_per_token=2))
    assert engine.admit(7, 100, 10, 1.0) == pytest.approx(1.0 + 0.2 + 10 * 0.025)


def test_two_that_share_a_replica_slow_each_other_down() -> None:
    engine = Engine(EngineModel(alpha_ms=0, beta_ms=10))
    engine.admit(1, 0, 10, 0.0)
    # At 0.05 the first has 5 of its 10 tokens; from then on a token takes 20 ms, and both have 5 to go.
    assert engine.admit(2, 0, 5, 0.05) == pytest.approx(0.15)
    assert ends_of(engine, 0.15) == [(1, 0.15), (2, 0.15)]


def test_the_one_that_stays_is_faster_again() -> None:
    engine = Engine(EngineModel(alpha_ms=0, beta_ms=10))
    engine.admit(1, 0, 10, 0.0)
    first = engine.admit(2, 0, 2, 0.0)
    # Two tokens each at 20 ms, then eight of the other at 10 ms.
    assert ends_of(engine, first) == [(2, 0.04), (1, 0.12)]


def test_a_prompt_holds_up_whoever_is_there() -> None:
    engine = Engine(EngineModel(alpha_ms=10, beta_ms=0, prefill_ms_per_token=1))
    engine.admit(1, 0, 10, 0.0)
    assert engine.admit(2, 100, 10, 0.05) == pytest.approx(0.05 + 0.1 + 5 * 0.01)


def test_a_prompt_that_comes_while_another_is_read_is_read_after_it() -> None:
    engine = Engine(EngineModel(alpha_ms=10, beta_ms=0, prefill_ms_per_token=1))
    engine.admit(1, 100, 10, 0.0)
    assert engine.admit(2, 100, 10, 0.05) == pytest.approx(0.2 + 0.1)


def test_more_than_may_be_active_wait_inside_in_order() -> None:
    engine = Engine(EngineModel(alpha_ms=100, beta_ms=0, active_max=1))
    engine.admit(1, 0, 10, 0.0)
    engine.admit(2, 0, 10, 0.1)
    first = engine.admit(3, 0, 1, 0.2)
    assert (engine.active, engine.waiting, engine.oldest_waiting) == (1, 2, 2)
    assert ends_of(engine, first) == [(1, 1.0), (2, 2.0), (3, 2.1)]


def test_room_for_tokens_bounds_who_is_active() -> None:
    engine = Engine(EngineModel(alpha_ms=100, beta_ms=0, kv_tokens=100))
    engine.admit(1, 50, 10, 0.0)
    first = engine.admit(2, 40, 10, 0.0)
    assert engine.kv_utilisation == 0.6
    assert (engine.active, engine.waiting) == (1, 1)
    assert ends_of(engine, first) == [(1, 1.0), (2, 2.0)]
    assert engine.kv_utilisation == 0.0


def test_a_request_larger_than_the_room_is_served_alone() -> None:
    engine = Engine(EngineModel(alpha_ms=100, beta_ms=0, kv_tokens=100))
    first = engine.admit(1, 500, 10, 0.0)
    engine.admit(2, 1, 1, 0.0)
    assert ends_of(engine, first) == [(1, 1.0), (2, 1.1)]


def test_a_small_request_does_not_overtake_a_large_one_that_waits() -> None:
    engine = Engine(EngineModel(alpha_ms=100, beta_ms=0, kv_tokens=100))
    engine.admit(1, 50, 10, 0.0)
    engine.admit(2, 40, 10, 0.0)
    first = engine.admit(3, 1, 1, 0.0)
    assert ends_of(engine, first) == [(1, 1.0), (3, 1.1), (2, 2.0)]


def test_a_request_larger_than_the_room_waits_until_it_is_alone() -> None:
    engine = Engine(EngineModel(alpha_ms=100, beta_ms=0, kv_tokens=100))
    engine.admit(1, 1, 1, 0.0)
    first = engine.admit(2, 500, 10, 0.0)
    assert ends_of(engine, first) == [(1, 0.1), (2, 1.1)]


def test_it_knows_all_that_it_has() -> None:
    engine = Engine(EngineModel(alpha_ms=100, beta_ms=0, active_max=1))
    for request in (5, 3, 9):
        engine.admit(request, 0, 10, 0.0)
    assert engine.requests() == [3, 5, 9]
