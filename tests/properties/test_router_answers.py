"""Answers that are counted many at a time are counted as they would be one by one."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from hostler_domain.histogram import bucket, buckets
from hostler_router.answer_usage import Usage
from hostler_router.answers import added_up
from hostler_router.exchange import Exchange
from hostler_router.figures import SHORT_SECONDS, Histogram
from hostler_router.metrics import RouterMetrics
from hostler_router.windows import WindowRecorder

SECONDS = st.one_of(st.floats(0, 1000), st.sampled_from((0.0, *SHORT_SECONDS, 0.001, 0.002, 1.0, 2000.0)))
COUNTS = st.integers(0, 10**6)
USAGES = st.none() | st.builds(Usage, COUNTS, COUNTS, COUNTS, st.none() | COUNTS)


@given(values=st.lists(SECONDS))
def test_a_histogram_of_many_is_that_of_each(values: list[float]) -> None:
    one_by_one, together = Histogram(SHORT_SECONDS), Histogram(SHORT_SECONDS)
    for value in values:
        one_by_one.observe(value)
    together.observe_all(sorted(values))
    assert together.counts == one_by_one.counts
    assert math.isclose(together.total, one_by_one.total)
    expected: dict[int, int] = {}
    for value in values:
        expected[bucket(value)] = expected.get(bucket(value), 0) + 1
    assert buckets(sorted(values)) == expected


@given(ended=st.lists(st.tuples(SECONDS, st.floats(0, 10), USAGES), min_size=1))
def test_answers_added_up_are_those_that_were_counted_singly(
    ended: list[tuple[float, float, Usage | None]],
) -> None:
    singly, together = WindowRecorder(), WindowRecorder()
    figures = RouterMetrics(CollectorRegistry())
    exchanges = []
    for seconds, elsewhere, usage in ended:
        exchange = Exchange("id", "/v1/completions", 0.0)
        exchange.replica_seconds, exchange.usage = elsewhere, usage
        exchanges.append((exchange, seconds))
        if usage is not None:
            singly.used("job", "r0", usage)
        singly.completed("job", "r0", seconds * 1000, 0 if usage is None else usage.completion_tokens)
    answers = added_up(exchanges)
    together.answered("job", "r0", answers)
    figures.answered("/v1/completions", "job", answers)
    one, other = singly._of("job"), together._of("job")
    for name in (
        "completed",
        "latency_ms",
        "prompt_tokens",
        "completion_tokens",
        "audio_seconds",
        "replicas",
        "timed_tokens",
    ):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("latency_total_ms", "timed_ms"):
        assert math.isclose(getattr(one, name), getattr(other, name), abs_tol=1e-6), name
    assert sum(figures.overhead_seconds.counts) == len(ended)
    expected = sum(max(seconds - elsewhere, 0.0) for seconds, elsewhere, _ in ended)
    assert math.isclose(figures.overhead_seconds.total, expected, abs_tol=1e-6)
