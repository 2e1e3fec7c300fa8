"""Limits of keys and projects: which make sense, which leave more room than others, and how a patch changes them."""

import pytest

from hostler_domain.limits import LIMIT_MAX, Limits, limit_errors, merged_limits, wider_fields

BOUNDS = [
    ({"requests_per_minute": 0}, ["limits.requests_per_minute"]),
    ({"concurrency": LIMIT_MAX + 1}, ["limits.concurrency"]),
    ({"tokens_per_minute": 1}, []),
]


@pytest.mark.parametrize(("fields", "wrong"), BOUNDS)
def test_a_bound_is_one_at_least(fields: dict[str, int], wrong: list[str]) -> None:
    assert [each.field for each in limit_errors(Limits(**fields))] == wrong


def test_limits_are_wider_where_a_bound_is_higher_or_gone() -> None:
    held = Limits(10, 100, None)
    assert list(wider_fields(Limits(10, 50, 7), held)) == []
    assert list(wider_fields(Limits(11, 100), held)) == ["requests_per_minute"]
    assert list(wider_fields(Limits(concurrency=1), held)) == ["requests_per_minute", "tokens_per_minute"]
    assert list(wider_fields(None, held)) == ["requests_per_minute", "tokens_per_minute"]
    assert list(wider_fields(None, None)) == []


def test_a_patch_changes_what_it_names_and_no_bound_left_is_none() -> None:
    assert merged_limits(None, {"concurrency": 3}) == Limits(concurrency=3)
    assert merged_limits(Limits(1, 2, 3), {"tokens_per_minute": None}) == Limits(1, None, 3)
    assert merged_limits(Limits(concurrency=3), {"concurrency": None}) is None
    assert merged_limits(Limits(1, 2, 3), None) is None
    assert merged_limits(Limits(1), {}) == Limits(1)
