"""What a job's record tells of its launches."""

from dataclasses import replace

import pytest

from hostler_autoscaler.launches import LAUNCHES_MAX, Launches, draining, launches_of, starting_ages
from hostler_domain.changes import (
    JobScaled,
    ReplicaDraining,
    ReplicaFailed,
    ReplicaReady,
    ReplicaTerminated,
    ReplicaUnhealthy,
)
from hostler_domain.job import Job
from hostler_domain.replica_states import ReplicaReason
from tests.support.builders import at, created, fold, scheduled

URL = "http://127.0.0.1:9"


def placed(replica_id: str, second: float) -> object:
    return replace(scheduled(replica_id), at=at(second))


def started(replica_id: str, second: float, seconds: float) -> list[object]:
    return [placed(replica_id, second), ReplicaReady(at(second + seconds), replica_id, URL)]


def failed(replica_id: str, second: float, reason: ReplicaReason) -> list[object]:
    return [placed(replica_id, second), ReplicaFailed(at(second + 5), replica_id, reason, "")]


def job(*changes: object, replicas: int = 1) -> Job:
    found = fold(created(initial=1, maximum=50), *changes)  # type: ignore[arg-type]  # changes, all of them
    return replace(found, status=replace(found.status, desired_replicas=replicas))


def test_a_job_that_never_started_has_no_cold_start() -> None:
    assert launches_of(job()) == Launches(None, 0, 0)
    assert launches_of(job(placed("r1", 1))) == Launches(None, 0, 0)


def test_the_cold_start_is_what_nine_of_ten_launches_do_not_exceed() -> None:
    changes = [change for n in range(10) for change in started(f"r{n}", 10, 100 + n)]
    assert launches_of(job(*changes, replicas=10)) == Launches(108.0, 10, 0)


def test_only_the_last_launches_count() -> None:
    slow = started("r00", 0, 900)
    quick = [change for n in range(LAUNCHES_MAX) for change in started(f"r{n + 1:02}", 1000 + n, 60)]
    assert launches_of(job(*slow, *quick, replicas=30)).cold_start_seconds == 60


@pytest.mark.parametrize("reason", [ReplicaReason.START_FAILED, ReplicaReason.INITIALIZATION_TIMEOUT])
def test_boots_that_failed_are_counted_and_have_no_time(reason: ReplicaReason) -> None:
    changes = [*started("r1", 1, 30), *failed("r2", 40, reason)]
    assert launches_of(job(*changes, replicas=2)) == Launches(30.0, 2, 1)


def test_what_failed_after_it_had_served_was_a_good_launch() -> None:
    crashed = ReplicaFailed(at(90), "r1", ReplicaReason.CRASHED, "")
    assert launches_of(job(*started("r1", 1, 30), crashed)) == Launches(30.0, 1, 0)


def test_what_found_no_room_is_no_failed_boot() -> None:
    assert launches_of(job(*started("r1", 1, 30), *failed("r2", 40, ReplicaReason.NO_ROOM), replicas=2)) == (
        Launches(30.0, 1, 0)
    )


def test_what_nobody_wanted_any_more_is_no_failed_boot() -> None:
    unwanted = [placed("r1", 1), ReplicaDraining(at(2), "r1", ReplicaReason.SCALED_DOWN)]
    assert launches_of(job(*unwanted, ReplicaTerminated(at(3), "r1"))) == Launches(None, 0, 0)


def test_every_replica_that_is_wanted_and_does_not_serve_is_starting() -> None:
    changes = [*started("r1", 1, 30), placed("r2", 40), placed("r3", 70)]
    found = job(*changes, JobScaled(at(80), 1, 5, ()), replicas=5)
    assert starting_ages(found, at(100)) == (60.0, 30.0, 0.0, 0.0)


def test_one_that_serves_no_more_counts_from_then_on() -> None:
    found = job(*started("r1", 1, 30), ReplicaUnhealthy(at(90), "r1", ""))
    assert starting_ages(found, at(100)) == (10.0,)


def test_one_that_drains_is_not_starting() -> None:
    found = job(*started("r1", 1, 30), ReplicaDraining(at(90), "r1", ReplicaReason.SCALED_DOWN), replicas=0)
    assert (starting_ages(found, at(100)), draining(found)) == ((), 1)
