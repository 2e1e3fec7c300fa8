from collections import Counter
from random import Random

import pytest

from hostler_router.balance import pick
from hostler_router.table import Endpoint

A, B, C = (Endpoint(name, f"http://127.0.0.1/{name}") for name in "abc")


@pytest.mark.parametrize(
    ("candidates", "outstanding", "exclude", "expected"),
    [
        pytest.param((), {}, (), None, id="nobody serves"),
        pytest.param((A,), {"a": 9}, (), A, id="the only one, however busy"),
        pytest.param((A, B), {"a": 2, "b": 1}, (), B, id="the less busy"),
        pytest.param((A, B), {"a": 1}, (), B, id="one without a count is idle"),
        pytest.param((A, B), {"b": 5}, {"a"}, B, id="excluded although idle"),
        pytest.param((A, B), {}, {"a", "b"}, None, id="all excluded"),
        pytest.param((A,), {}, {"z"}, A, id="a stranger excluded"),
    ],
)
def test_the_replica_with_the_fewest_requests_is_picked(
    candidates: tuple[Endpoint, ...],
    outstanding: dict[str, int],
    exclude: set[str],
    expected: Endpoint | None,
) -> None:
    assert pick(candidates, outstanding=outstanding, rng=Random(1), exclude=exclude) == expected


def test_equals_take_turns() -> None:
    rng = Random(7)
    picked = Counter(pick((A, B, C), outstanding={}, rng=rng) for _ in range(300))
    assert {A, B, C} == set(picked)
    assert min(picked.values()) > 60


def test_a_replica_with_as_many_requests_as_the_bound_gets_no_more() -> None:
    assert pick((A, B), outstanding={"a": 3, "b": 4}, rng=Random(1), bound=4) == A
    assert pick((A, B), outstanding={"a": 4, "b": 4}, rng=Random(1), bound=4) is None


def test_two_random_choices_come_to_every_replica_but_the_busiest() -> None:
    rng = Random(7)
    picked = Counter(pick((A, B, C), outstanding={"a": 2, "b": 1}, rng=rng, choices=2) for _ in range(300))
    assert set(picked) == {B, C}
    assert 60 < picked[B] < 140


def test_every_router_sends_a_session_to_the_same_replica() -> None:
    sessions = (b"one", b"two", b"three", b"four", b"five", b"six")
    picked = [pick((A, B, C), outstanding={}, rng=Random(1), affinity=session) for session in sessions]
    # What other processes and later versions pick too: a change here moves every session of a running fleet.
    assert picked == [C, B, C, C, A, B]


def test_a_session_stays_while_its_replica_is_not_much_busier_than_the_others() -> None:
    first = pick((A, B, C), outstanding={}, rng=Random(1), affinity=b"one")
    assert first is not None
    home = first.replica_id
    assert pick((A, B, C), outstanding={home: 1}, rng=Random(1), affinity=b"one") != first
    even = {"a": 3, "b": 3, "c": 3}
    assert pick((A, B, C), outstanding=even, rng=Random(1), affinity=b"one") == first
    assert pick((A, B, C), outstanding={**even, home: 5}, rng=Random(1), affinity=b"one") != first


def test_a_session_comes_back_to_its_replica() -> None:
    first = pick((A, B, C), outstanding={}, rng=Random(1), affinity=b"one")
    assert first is not None
    away = pick((A, B, C), outstanding={}, rng=Random(1), affinity=b"one", exclude={first.replica_id})
    assert away not in (None, first)
    assert pick((A, B, C), outstanding={}, rng=Random(1), affinity=b"one") == first
