"""Latency buckets: where a value falls, what quantiles come out, and that windows add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler_domain.histogram import BUCKET_MAX, bucket, merged, quantile, upper_bound


@pytest.mark.parametrize(
    ("value", "index"), [(0, 0), (1, 0), (1.01, 1), (2, 4), (1000, 40), (1e12, BUCKET_MAX)]
)
def test_a_value_falls_into_its_bucket(value: float, index: int) -> None:
    assert bucket(value) == index


def test_a_quantile_of_nothing_is_nothing() -> None:
    assert quantile({}, 0.95) is None


@given(st.lists(st.floats(1, 900_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_is_off_by_at_most_one_bucket(values: list[float], share: float) -> None:
    counted = merged({bucket(value): 1} for value in values)
    exact = sorted(values)[max(int(-(-share * len(values) // 1)) - 1, 0)]
    found = quantile(counted, share)
    assert found is not None
    lower = upper_bound(bucket(exact) - 1) if bucket(exact) else 0.0
    assert lower - 1e-9 <= found <= upper_bound(bucket(exact)) + 1e-9


@given(st.lists(st.dictionaries(st.integers(0, BUCKET_MAX), st.integers(0, 50)), max_size=6))
def test_merging_keeps_every_count_whatever_the_order(parts: list[dict[int, int]]) -> None:
    assert merged(parts) == merged(reversed(parts))
    assert sum(merged(parts).values()) == sum(sum(part.values()) for part in parts)
