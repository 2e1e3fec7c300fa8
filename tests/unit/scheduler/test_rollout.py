"""Replacing replicas of an earlier generation: in which order, with how many serving, and what stands in the way."""

from dataclasses import replace

import pytest

from hostler_domain.changes import (
    Change,
    JobRestartRequested,
    JobScaled,
    JobStopRequested,
    JobUpdated,
    ReplicaTerminated,
    ReplicaUnhealthy,
)
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import Action, DrainReplica, HoldJob, ScheduleReplica, TellStopped
from tests.support.builders import JOB_ID, at, created, draining, fold, ready, running_job, scheduled
from tests.unit.scheduler.cluster import carried_out, failed, node, plan_of

RESTART = JobRestartRequested(at(10), 2, "key-1")


def after(job: Job, *changes: Change) -> Job:
    for change in changes:
        job = evolve(job, change)
    return job


def drained(replica_id: str, reason: ReplicaReason = ReplicaReason.REPLACED) -> DrainReplica:
    return DrainReplica(JOB_ID, replica_id, reason)


def actions_of(job: Job, *, cpu_cores: float = 8, seconds: float = 20) -> tuple[Action, ...]:
    return plan_of(
        [job], [node("node-a", cpu_cores=cpu_cores, reported_at=at(seconds))], now=at(seconds)
    ).actions


def names(actions: tuple[Action, ...]) -> list[str]:
    return [f"{type(each).__name__} {getattr(each, 'replica_id', '')}".strip() for each in actions]


RESTARTED = after(running_job(2, minimum=2), RESTART)
SURGED = after(RESTARTED, scheduled("s1", 11))

STEPS: dict[str, tuple[Job, float, list[str]]] = {
    "with room one more is started": (RESTARTED, 8, ["ScheduleReplica new-001"]),
    "while it starts nothing else happens": (SURGED, 8, []),
    "an old one ends when it is ready, and the next one starts": (
        after(SURGED, ready("s1", 15)),
        8,
        ["DrainReplica r1", "ScheduleReplica new-001"],
    ),
    "without room an old one ends first": (RESTARTED, 2, ["DrainReplica r1"]),
    "without room only one ends at a time": (after(RESTARTED, draining("r1", 12)), 2, []),
    "once it has ended its room is taken": (
        after(RESTARTED, draining("r1", 12), ReplicaTerminated(at(13), "r1")),
        2,
        ["ScheduleReplica new-001"],
    ),
    "the last that serves stays where the room of another was taken meanwhile": (
        after(RESTARTED, draining("r1", 12), ReplicaTerminated(at(13), "r1")),
        1,
        ["HoldJob"],
    ),
    "it stays and says so as well in a job that was restarted while it started": (
        fold(
            created(),
            scheduled("r1"),
            JobRestartRequested(at(2), 2, "k"),
            ready("r1"),
            JobScaled(at(6), 1, 2, ()),
        ),
        1,
        ["HoldJob"],
    ),
    "of two that serve one may end though a third has lost its room": (
        after(running_job(3, minimum=3), RESTART, draining("r1", 12), ReplicaTerminated(at(13), "r1")),
        2,
        ["DrainReplica r2"],
    ),
    "an old one that does not serve ends at once": (
        after(RESTARTED, ReplicaUnhealthy(at(12), "r1", "slow")),
        8,
        ["DrainReplica r1", "ScheduleReplica new-001", "ScheduleReplica new-002"],
    ),
    "a new one that fails to start is waited for, and the old ones stay": (
        after(SURGED, failed("s1", 19)),
        8,
        ["HoldJob"],
    ),
    "when fewer are wanted by now the old ones go first": (
        after(
            running_job(3, minimum=1),
            RESTART,
            scheduled("s1", 11),
            ready("s1", 12),
            JobScaled(at(13), 3, 1, ()),
        ),
        8,
        ["DrainReplica r1", "DrainReplica r2", "DrainReplica r3"],
    ),
    "the last old one ends when all are replaced": (
        after(running_job(1), RESTART, scheduled("s1", 11), ready("s1", 12)),
        8,
        ["DrainReplica r1"],
    ),
}


@pytest.mark.parametrize(("job", "cpu_cores", "expected"), STEPS.values(), ids=STEPS.keys())
def test_each_step_of_a_rollout(job: Job, cpu_cores: float, expected: list[str]) -> None:
    assert names(actions_of(job, cpu_cores=cpu_cores)) == expected


def test_what_ends_first_says_so_and_keeps_its_room_for_the_replacement() -> None:
    (action,) = actions_of(RESTARTED, cpu_cores=2)
    assert action == DrainReplica(JOB_ID, "r1", ReplicaReason.REPLACED, yields_to=JOB_ID)


def test_an_update_to_what_no_node_has_leaves_the_old_ones_serving_and_says_why_once() -> None:
    job = running_job(1)
    spec = replace(job.spec, hardware_profile="gpu.a100", gpu_count=1)
    updated = after(job, JobUpdated(at(10), spec, 2, "key-1"))
    (hold,) = actions_of(updated)
    assert isinstance(hold, HoldJob)
    assert hold.reason is PhaseReason.NO_MATCHING_HARDWARE
    (told,) = carried_out([updated], [hold], now=at(20))
    assert (told.status.phase, told.status.phase_reason) == (JobPhase.UPDATING, hold.reason)
    assert actions_of(told) == ()


def test_an_update_of_the_bounds_alone_brings_no_new_replicas() -> None:
    job = running_job(2, minimum=2)
    scaling = replace(job.spec.scaling, min_replicas=1, initial_replicas=1)
    updated = after(job, JobUpdated(at(10), replace(job.spec, scaling=scaling), 1, "key-1"))
    assert actions_of(updated) == ()


def test_a_stopping_job_ends_its_replicas_and_is_stopped_when_they_have_ended() -> None:
    stopping = after(running_job(1), JobStopRequested(at(10), "key-1"))
    assert actions_of(stopping) == (drained("r1", ReplicaReason.JOB_STOPPED),)
    ending = after(stopping, draining("r1", 20, ReplicaReason.JOB_STOPPED))
    assert actions_of(ending) == ()
    ended = after(ending, ReplicaTerminated(at(30), "r1"))
    assert actions_of(ended, seconds=31) == (TellStopped(JOB_ID),)
    (stopped,) = carried_out([ended], [TellStopped(JOB_ID)], now=at(31))
    assert stopped.status.phase is JobPhase.STOPPED
    assert actions_of(stopped, seconds=32) == ()


def test_a_job_that_never_had_a_replica_stops_at_once() -> None:
    stopping = fold(created(), JobStopRequested(at(1), "key-1"))
    assert actions_of(stopping) == (TellStopped(JOB_ID),)


def test_a_restart_of_a_job_that_starts_replaces_what_starts() -> None:
    job = fold(created(), scheduled("r1"), RESTART)
    assert [type(each) for each in actions_of(job)] == [DrainReplica, ScheduleReplica]
