import pytest

from hostler_router.outstanding import Outstanding


def test_requests_are_counted_until_they_end() -> None:
    outstanding = Outstanding()
    outstanding.begin("r1")
    outstanding.begin("r1")
    outstanding.begin("r2")
    outstanding.end("r1")
    outstanding.end("r2")
    assert outstanding.counts == {"r1": 1}
    assert (outstanding.left_on("r1"), outstanding.left_on("r2")) == (1, 0)


def test_work_is_counted_beside_requests() -> None:
    outstanding = Outstanding()
    long = outstanding.begin("r1", 61.5)
    short = outstanding.begin("r1", 0.25)
    assert (outstanding.counts, outstanding.work) == ({"r1": 2}, {"r1": 61.75})
    long.end()
    assert (outstanding.counts, outstanding.work) == ({"r1": 1}, {"r1": 0.25})
    short.end()
    assert (outstanding.counts, outstanding.work) == ({}, {})


def test_a_request_that_ends_twice_is_counted_once() -> None:
    outstanding = Outstanding()
    first, second = outstanding.begin("r1", 2), outstanding.begin("r1", 3)
    first.end()
    first.end()
    assert (outstanding.counts, outstanding.work) == ({"r1": 1}, {"r1": 3.0})
    second.end()
    first.end()
    assert outstanding.left_on("r1") == 0


@pytest.mark.parametrize("work", [-1.0, float("nan"), float("inf"), -0.001])
def test_work_that_is_no_amount_is_refused_and_counts_nothing(work: float) -> None:
    outstanding = Outstanding()
    with pytest.raises(ValueError, match="work"):
        outstanding.begin("r1", work)
    assert (outstanding.counts, outstanding.work) == ({}, {})
