import pytest

from hostler_router.outliers import (
    EJECTION_SECONDS,
    EJECTION_SECONDS_MAX,
    FAILURES_MAX,
    NOBODY,
    RECOVERY_SECONDS,
    Failure,
    Outliers,
)

PAIR = ("a", "b")
SLOW_TO_SHOW = [failure for failure in Failure if failure is not Failure.STALL]


def fail(outliers: Outliers, replica_id: str, now: float, times: int = FAILURES_MAX) -> list[bool]:
    return [outliers.failed(replica_id, Failure.ERROR, now) for _ in range(times)]


def ejection_seconds(outliers: Outliers, replica_id: str, now: float) -> float:
    """For how long the replica is left out from now on."""
    seconds = 0.0
    while replica_id in outliers.ejected(("a", "b", "c", "d"), now + seconds):
        seconds += 0.5
    return seconds


@pytest.mark.parametrize("failure", SLOW_TO_SHOW)
def test_the_fifth_failure_in_a_row_ejects(failure: Failure) -> None:
    outliers = Outliers()
    assert [outliers.failed("a", failure, 0) for _ in range(5)] == [False] * 4 + [True]
    assert outliers.ejected(PAIR, 0) == {"a"}


def test_a_success_between_starts_the_count_again() -> None:
    outliers = Outliers()
    fail(outliers, "a", 0, 4)
    outliers.succeeded("a", 0)
    assert fail(outliers, "a", 0, 4) == [False] * 4
    assert outliers.ejected(PAIR, 0) is NOBODY


def test_one_stall_ejects() -> None:
    outliers = Outliers()
    assert outliers.failed("a", Failure.STALL, 0)
    assert outliers.ejected(PAIR, 0) == {"a"}


def test_failures_of_others_do_not_count() -> None:
    outliers = Outliers()
    fail(outliers, "a", 0, 4)
    fail(outliers, "b", 0, 4)
    assert outliers.ejected(PAIR, 0) is NOBODY


def test_requests_that_fail_with_the_one_that_was_the_sign_prolong_nothing() -> None:
    outliers = Outliers()
    fail(outliers, "a", 0)
    assert fail(outliers, "a", 9, 20) == [False] * 20
    assert not outliers.failed("a", Failure.STALL, 9)
    assert ejection_seconds(outliers, "a", 9) == 1


def test_each_further_time_is_longer_up_to_a_limit() -> None:
    outliers, now, seconds = Outliers(), 0.0, []
    for _ in range(33):
        outliers.failed("a", Failure.STALL, now)
        seconds.append(ejection_seconds(outliers, "a", now))
        now += seconds[-1]
    assert seconds[:3] == [EJECTION_SECONDS, 2 * EJECTION_SECONDS, 3 * EJECTION_SECONDS]
    assert seconds[-3:] == [EJECTION_SECONDS_MAX] * 3


def test_a_replica_that_comes_back_and_fails_is_ejected_at_once() -> None:
    outliers = Outliers()
    fail(outliers, "a", 0)
    assert fail(outliers, "a", EJECTION_SECONDS, 1) == [True]


def test_a_replica_that_comes_back_and_serves_has_five_failures_free_again() -> None:
    outliers = Outliers()
    fail(outliers, "a", 0)
    outliers.succeeded("a", EJECTION_SECONDS)
    assert fail(outliers, "a", EJECTION_SECONDS, 5) == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("served_seconds", "expected"),
    [
        pytest.param(RECOVERY_SECONDS - 1, 3, id="not long enough"),
        pytest.param(RECOVERY_SECONDS, 2, id="one forgotten"),
        pytest.param(RECOVERY_SECONDS * 2 - 1, 2, id="not long enough for two"),
        pytest.param(RECOVERY_SECONDS * 2, 1, id="two forgotten"),
        pytest.param(RECOVERY_SECONDS * 9, 1, id="no more than there were"),
    ],
)
def test_who_serves_is_slowly_forgiven(served_seconds: float, expected: int) -> None:
    outliers = Outliers()
    outliers.failed("a", Failure.STALL, 0)
    outliers.failed("a", Failure.STALL, 10)
    back = 30.0
    for second in range(int(served_seconds) + 1):
        outliers.succeeded("a", back + second)
    now = back + served_seconds
    outliers.failed("a", Failure.STALL, now)
    assert ejection_seconds(outliers, "a", now) == expected * EJECTION_SECONDS


def test_success_while_ejected_changes_nothing() -> None:
    outliers, now = Outliers(), 0.0
    for seconds in (10, 20, 30, 40):
        outliers.failed("a", Failure.STALL, now)
        outliers.succeeded("a", now + 5)
        assert ejection_seconds(outliers, "a", now + 5) == seconds - 5
        now += seconds
    outliers.failed("a", Failure.STALL, now)
    assert ejection_seconds(outliers, "a", now) == 50


@pytest.mark.parametrize(
    ("replicas", "bad", "left_out"),
    [(1, 1, 0), (2, 1, 1), (2, 2, 0), (3, 1, 1), (3, 2, 0), (4, 2, 2), (4, 3, 0), (9, 4, 4), (9, 5, 0)],
)
def test_half_at_most_are_left_out_and_beyond_that_nobody(replicas: int, bad: int, left_out: int) -> None:
    outliers, ids = Outliers(), [f"r{number}" for number in range(replicas)]
    for replica_id in ids[:bad]:
        assert outliers.failed(replica_id, Failure.STALL, 0)
    assert outliers.ejected(ids, 0) == set(ids[:left_out])
    assert outliers.panics(ids, 0) == (replicas > 1 and left_out != bad)


def test_panic_ends_when_one_comes_back() -> None:
    outliers = Outliers()
    outliers.failed("a", Failure.STALL, 0)
    outliers.failed("b", Failure.STALL, 4)
    assert (outliers.ejected(PAIR, 9), outliers.panics(PAIR, 9)) == (NOBODY, True)
    assert (outliers.ejected(PAIR, 10), outliers.panics(PAIR, 10)) == ({"b"}, False)
    assert (outliers.ejected(PAIR, 14), outliers.panics(PAIR, 14)) == (NOBODY, False)


def test_only_those_who_are_asked_about_count() -> None:
    outliers = Outliers()
    outliers.failed("gone", Failure.STALL, 0)
    outliers.failed("a", Failure.STALL, 0)
    assert outliers.ejected(PAIR, 0) == {"a"}


def test_who_is_gone_is_forgotten() -> None:
    outliers = Outliers()
    outliers.failed("a", Failure.STALL, 0)
    fail(outliers, "b", 0, 4)
    outliers.forget(["a", "b", "unknown"])
    assert outliers.ejected(PAIR, 0) is NOBODY
    assert fail(outliers, "b", 0, 4) == [False] * 4


def test_nothing_is_remembered_of_a_replica_that_is_well_again() -> None:
    outliers = Outliers()
    outliers.failed("a", Failure.STALL, 0)
    fail(outliers, "b", 0, 4)
    outliers.succeeded("a", EJECTION_SECONDS + RECOVERY_SECONDS)
    outliers.succeeded("b", 0)
    assert outliers.ejected(PAIR, EJECTION_SECONDS + RECOVERY_SECONDS) == NOBODY
    assert (outliers._records, outliers._ejected_until) == ({}, {})
