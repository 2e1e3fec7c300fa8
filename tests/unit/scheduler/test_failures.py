"""What failed replicas lead to: a wait, a new start, or giving up."""

from datetime import timedelta

import pytest

from hostler_domain.changes import Change, ReplicaUnhealthy
from hostler_domain.job import Job
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import HoldJob, ScheduleReplica
from hostler_scheduler.failures import (
    BACKOFF_MAX_SECONDS,
    Hopeless,
    StartNow,
    Wait,
    backoff_seconds,
    verdict,
)
from tests.support.builders import JOB_ID, at, created, fold, ready, scheduled
from tests.unit.scheduler.cluster import carried_out, failed, node, plan_of


def failing_starts(number: int, reason: ReplicaReason = ReplicaReason.START_FAILED) -> list[Change]:
    """So many starts that failed one after the other; the last at second 10 * number."""
    changes: list[Change] = []
    for turn in range(1, number + 1):
        changes += [
            scheduled(f"r{turn}", seconds=10 * turn - 5),
            failed(f"r{turn}", 10 * turn, reason),
        ]
    return changes


@pytest.mark.parametrize(
    ("failures", "expected"),
    [(0, 0), (1, 2), (2, 4), (3, 8), (4, 16), (8, 256), (9, 300), (5000, BACKOFF_MAX_SECONDS)],
)
def test_the_wait_doubles_up_to_five_minutes(failures, expected):
    assert backoff_seconds(failures) == expected


@pytest.mark.parametrize(("failures", "wait_seconds"), [(1, 2), (2, 4), (3, 8), (4, 16)])
def test_after_failed_starts_the_next_one_waits(failures, wait_seconds):
    job = fold(created(), *failing_starts(failures))
    ends = at(10 * failures + wait_seconds)
    assert verdict(job, now=at(10 * failures)) == Wait(ends)
    assert verdict(job, now=ends - timedelta(milliseconds=1)) == Wait(ends)
    assert verdict(job, now=ends) == StartNow()


def test_the_plan_says_when_the_wait_is_over_and_starts_then():
    job = fold(created(), *failing_starts(1))
    waiting = plan_of([job], [node()], now=at(11))
    (hold,) = waiting.actions
    assert hold == HoldJob(
        JOB_ID,
        PhaseReason.BACKING_OFF,
        "next try at 2026-11-21T12:00:12Z: 1 start in a row failed, the last one so: exit status 1",
    )
    assert waiting.look_again_at == at(12)
    (told,) = carried_out([job], waiting.actions, now=at(11))
    assert plan_of([told], [node()], now=at(11.5)).actions == ()
    over = plan_of([job], [node(reported_at=at(12))], now=at(12))
    assert [type(action) for action in over.actions] == [ScheduleReplica]
    assert over.look_again_at is None


def test_the_earliest_of_several_waits_counts():
    jobs = [
        fold(created(job_id="job-1"), *failing_starts(2)),
        fold(created(job_id="job-2"), *failing_starts(1)),
    ]
    assert plan_of(jobs, [node()], now=at(10)).look_again_at == at(12)


@pytest.mark.parametrize(
    "reason", [ReplicaReason.LOST, ReplicaReason.CRASHED, ReplicaReason.UNRESPONSIVE], ids=str
)
def test_a_replica_that_served_is_replaced_at_once(reason):
    job = fold(created(), scheduled(), ready(), failed("r1", 8, reason))
    assert verdict(job, now=at(8)) == StartNow()


def test_all_replicas_lost_with_their_host_are_replaced_at_once():
    names = [f"r{number}" for number in range(1, 6)]
    job = fold(
        created(initial=5, maximum=5),
        *(scheduled(name) for name in names),
        *(ready(name) for name in names),
        *(failed(name, 8, ReplicaReason.LOST) for name in names),
    )
    assert verdict(job, now=at(8)) == StartNow()
    assert len(plan_of([job], [node(cpu_cores=8)], now=at(8)).actions) == 5


def test_a_replica_that_crashes_again_and_again_soon_after_it_was_ready_is_replaced_ever_more_slowly():
    changes: list[Change] = [created()]
    waits = []
    for turn in range(3):
        begin = 100 * turn
        name = f"r{turn}"
        changes += [
            scheduled(name, seconds=begin + 1),
            ready(name, begin + 5),
            failed(name, begin + 10, ReplicaReason.CRASHED),
        ]
        waits.append(verdict(fold(*changes), now=at(begin + 10)))
    assert waits == [StartNow(), Wait(at(112)), Wait(at(214))]
    assert verdict(fold(*changes), now=at(10_000)) == StartNow()


def test_a_request_that_cannot_work_is_given_up_at_once():
    job = fold(created(), scheduled(), failed("r1", 3, ReplicaReason.CANNOT_START, "unknown argument"))
    assert verdict(job, now=at(3)) == Hopeless(PhaseReason.CANNOT_START, "unknown argument")


def test_five_failed_starts_are_given_up_with_what_the_last_one_said():
    job = fold(created(), *failing_starts(5))
    assert verdict(job, now=at(50)) == Hopeless(
        PhaseReason.REPEATED_CRASH, "5 starts in a row failed, the last one so: exit status 1"
    )


def test_a_start_that_takes_too_long_is_given_up_when_none_was_ever_ready():
    job = fold(created(), *failing_starts(1, ReplicaReason.INITIALIZATION_TIMEOUT))
    assert verdict(job, now=at(10)) == Hopeless(PhaseReason.INITIALIZATION_TIMEOUT, "exit status 1")


def test_a_start_that_takes_too_long_is_tried_again_when_one_was_ready_before():
    job = fold(
        created(),
        scheduled("r0"),
        ready("r0"),
        failed("r0", 6, ReplicaReason.LOST),
        *failing_starts(1, ReplicaReason.INITIALIZATION_TIMEOUT),
    )
    assert verdict(job, now=at(10)) == Wait(at(12))


def serving_and_failing(*also: Change, reason: ReplicaReason) -> Job:
    return fold(created(initial=2), scheduled("r0"), ready("r0", 2), *also, *failing_starts(5, reason))


@pytest.mark.parametrize(
    "reason",
    [ReplicaReason.CANNOT_START, ReplicaReason.START_FAILED, ReplicaReason.INITIALIZATION_TIMEOUT],
    ids=str,
)
@pytest.mark.parametrize("also", [(), (ReplicaUnhealthy(at(3), "r0", "slow"),)], ids=["ready", "unhealthy"])
def test_a_job_that_serves_is_not_given_up_because_another_replica_cannot_start(reason, also):
    assert verdict(serving_and_failing(*also, reason=reason), now=at(50)) == Wait(at(50 + 32))


def test_failures_before_the_last_ready_replica_are_forgiven():
    job = fold(
        created(),
        *failing_starts(4),
        scheduled("r9", 60),
        ready("r9", 61),
        failed("r9", 500, ReplicaReason.LOST),
    )
    assert verdict(job, now=at(500)) == StartNow()
