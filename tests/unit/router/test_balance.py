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
