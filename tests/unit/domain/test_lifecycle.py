"""Stop, resume, restart, update: what they lead to, what they leave alone, and which phases follow."""

from dataclasses import replace

import pytest

from hostler_domain.changes import (
    Change,
    JobDeleteRequested,
    JobFailed,
    JobPending,
    JobRestartRequested,
    JobResumeRequested,
    JobStopped,
    JobStopRequested,
    JobUpdated,
    ReplicaFailed,
)
from hostler_domain.commands import decide
from hostler_domain.errors import Conflict, IllegalTransition, InvalidFields
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, Serving, Timeouts
from hostler_domain.lifecycle import (
    FinishStop,
    LifecycleCommand,
    RestartJob,
    ResumeJob,
    StopJob,
    UpdateJob,
    needs_rollout,
)
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason
from tests.support.builders import (
    at,
    created,
    draining,
    fold,
    ready,
    running_job,
    scheduled,
    spec,
    terminated,
)

STOP, RESUME, RESTART = StopJob(at(50), "k"), ResumeJob(at(50), "k"), RestartJob(at(50), "k")
STOPPING = evolve(running_job(), JobStopRequested(at(40), "k"))
STOPPED = fold(created(), JobStopRequested(at(1), "k"), JobStopped(at(2)))
FAILED = evolve(fold(created()), JobFailed(at(40), PhaseReason.CANNOT_START, "no"))
GOING = evolve(running_job(), JobDeleteRequested(at(40), "k"))
OTHER = replace(running_job().spec, serving=Serving({"n_ctx": "1024"}, {}))

LEADS_TO: dict[str, tuple[Job, LifecycleCommand, tuple[Change, ...]]] = {
    "stop a running job": (running_job(), STOP, (JobStopRequested(at(50), "k"),)),
    "stop a failed job": (FAILED, STOP, (JobStopRequested(at(50), "k"),)),
    "stop a stopping job": (STOPPING, STOP, ()),
    "stop a stopped job": (STOPPED, STOP, ()),
    "finish a stop that is not done": (STOPPING, FinishStop(at(50)), ()),
    "finish the stop of a running job": (running_job(), FinishStop(at(50)), ()),
    "resume a stopped job": (STOPPED, RESUME, (JobResumeRequested(at(50), "k"),)),
    "resume a failed job": (FAILED, RESUME, (JobResumeRequested(at(50), "k"),)),
    "resume a running job": (running_job(), RESUME, ()),
    "restart a running job": (running_job(), RESTART, (JobRestartRequested(at(50), 2, "k"),)),
    "restart a failed job": (FAILED, RESTART, (JobResumeRequested(at(50), "k"),)),
    "restart what is new already": (
        evolve(running_job(), JobRestartRequested(at(9), 2, "k")),
        RestartJob(at(50), "k", of_generation=1),
        (),
    ),
    "update to the same": (running_job(), UpdateJob(at(50), running_job().spec, "k"), ()),
    "update the arguments": (
        running_job(),
        UpdateJob(at(50), OTHER, "k"),
        (JobUpdated(at(50), OTHER, 2, "k"),),
    ),
    "update a label": (
        running_job(),
        UpdateJob(at(50), spec(labels={"a": "b"}), "k"),
        (JobUpdated(at(50), spec(labels={"a": "b"}), 1, "k"),),
    ),
}


@pytest.mark.parametrize(("job", "command", "changes"), LEADS_TO.values(), ids=LEADS_TO.keys())
def test_what_a_wish_leads_to(job: Job, command: LifecycleCommand, changes: tuple[Change, ...]) -> None:
    assert decide(job, command) == changes


REFUSED: dict[str, tuple[Job, LifecycleCommand]] = {
    "stop a deleted job": (GOING, STOP),
    "resume a deleted job": (GOING, RESUME),
    "restart a deleted job": (GOING, RESTART),
    "update a deleted job": (GOING, UpdateJob(at(50), OTHER, "k")),
    "resume before it is stopped": (STOPPING, RESUME),
    "restart a stopped job": (STOPPED, RESTART),
}


@pytest.mark.parametrize(("job", "command"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wish_that_the_phase_does_not_allow_is_refused(job: Job, command: LifecycleCommand) -> None:
    with pytest.raises(Conflict):
        decide(job, command)


@pytest.mark.parametrize("field", ["name", "project", "model"])
def test_what_a_job_is_called_and_serves_never_changes(field: str) -> None:
    other = replace(running_job().spec, **{field: "other/one" if field == "model" else "other"})
    with pytest.raises(InvalidFields, match=field):
        decide(running_job(), UpdateJob(at(50), other, "k"))


@pytest.mark.parametrize(
    ("fields", "rolls_out"),
    [
        ({"minimum": 2}, False),
        ({"labels": {"a": "b"}}, False),
        ({"priority": 1}, False),
        ({"timeouts": Timeouts(5, 5)}, False),
        ({"serving": Serving({}, {"A": "b"})}, True),
        ({"hardware_profile": "gpu.a100"}, True),
        ({"gpu_count": 2}, True),
        ({"runtime": "vllm"}, True),
        ({"runtime_image": "image:2"}, True),
    ],
    ids=str,
)
def test_only_what_replicas_are_made_from_is_rolled_out(fields: dict[str, object], rolls_out: bool) -> None:
    assert needs_rollout(spec(), spec(**fields)) is rolls_out  # type: ignore[arg-type]  # a table's values


def test_a_job_that_stops_wants_nothing_and_is_stopped_when_all_have_ended() -> None:
    assert (STOPPING.status.phase, STOPPING.wanted_replicas) == (JobPhase.STOPPING, 0)
    with pytest.raises(IllegalTransition, match="still has replicas"):
        evolve(STOPPING, JobStopped(at(50)))
    ended = fold_on(STOPPING, draining(seconds=45), terminated(seconds=46), JobStopped(at(50)))
    assert ended.status.phase is JobPhase.STOPPED


def fold_on(job: Job, *changes: Change) -> Job:
    for change in changes:
        job = evolve(job, change)
    return job


def test_a_resumed_job_starts_over_as_a_new_one() -> None:
    start_failed = ReplicaFailed(at(2), "r1", ReplicaReason.START_FAILED, "exit 1")
    given_up = JobFailed(at(40), PhaseReason.REPEATED_CRASH, "no")
    failed = fold(created(), scheduled(), start_failed, given_up)
    job = evolve(failed, JobResumeRequested(at(50), "k"))
    status = job.status
    assert (status.phase, status.desired_phase) == (JobPhase.RESUMING, DesiredPhase.RUNNING)
    assert (status.start_failures, status.last_failure_at, status.first_ready_at) == (0, None, None)
    assert fold_on(job, scheduled("r2", 51), ready("r2", 52)).status.phase is JobPhase.RUNNING


def test_a_resumed_job_that_may_sleep_and_begins_with_nothing_sleeps() -> None:
    job = fold(created(minimum=0, initial=0), JobStopRequested(at(1), "k"), JobStopped(at(2)))
    assert evolve(job, JobResumeRequested(at(3), "k")).status.phase is JobPhase.RUNNING


RESTARTED = evolve(running_job(2, minimum=2), JobRestartRequested(at(10), 2, "k"))

UPDATING: dict[str, tuple[tuple[Change, ...], JobPhase]] = {
    "just asked for": ((), JobPhase.UPDATING),
    "the new ones are ready, an old one is left": (
        (scheduled("s1", 11), ready("s1", 12), draining("r1", 13), scheduled("s2", 14), ready("s2", 15)),
        JobPhase.UPDATING,
    ),
    "too few are ready": (
        (draining("r1", 11), draining("r2", 11), scheduled("s1", 12), ready("s1", 13)),
        JobPhase.UPDATING,
    ),
    "it waits for room": (
        (JobPending(at(11), PhaseReason.NO_CAPACITY, "full"),),
        JobPhase.UPDATING,
    ),
    "all are replaced": (
        (
            scheduled("s1", 11),
            ready("s1", 12),
            draining("r1", 13),
            scheduled("s2", 14),
            ready("s2", 15),
            draining("r2", 16),
        ),
        JobPhase.RUNNING,
    ),
    "stopped on the way": ((JobStopRequested(at(11), "k"),), JobPhase.STOPPING),
}


@pytest.mark.parametrize(("changes", "phase"), UPDATING.values(), ids=UPDATING.keys())
def test_a_job_is_updating_until_nothing_old_is_left_and_enough_serve(
    changes: tuple[Change, ...], phase: JobPhase
) -> None:
    assert fold_on(RESTARTED, *changes).status.phase is phase


def test_a_job_restarted_while_it_starts_is_updating_as_soon_as_an_old_one_serves() -> None:
    restarted = fold(created(minimum=1), scheduled("r1", 1), JobRestartRequested(at(2), 2, "k"))
    assert restarted.status.phase is JobPhase.INITIALIZING
    serving = evolve(restarted, ready("r1", 3))
    assert (serving.status.phase, serving.status.first_ready_at) == (JobPhase.UPDATING, at(3))
    replaced = fold_on(serving, scheduled("s1", 4), ready("s1", 5), draining("r1", 6))
    assert replaced.status.phase is JobPhase.RUNNING


def test_the_reason_of_an_update_that_waited_goes_when_a_replica_is_placed() -> None:
    waiting = evolve(RESTARTED, JobPending(at(11), PhaseReason.NO_CAPACITY, "full"))
    assert waiting.status.phase_reason is PhaseReason.NO_CAPACITY
    assert evolve(waiting, scheduled("s1", 12)).status.phase_reason is None


def test_new_bounds_change_the_wanted_number_and_nothing_else() -> None:
    job = running_job(3)
    bounds = replace(job.spec.scaling, max_replicas=2)
    after = evolve(job, JobUpdated(at(10), replace(job.spec, scaling=bounds), 1, "k"))
    assert (after.status.phase, after.wanted_replicas, after.generation) == (JobPhase.RUNNING, 2, 1)
    assert after.outdated_replicas == ()


def test_a_restart_of_a_sleeping_job_finds_nothing_to_replace() -> None:
    asleep = fold(created(minimum=0, initial=0), JobStopRequested(at(1), "k"), JobStopped(at(2)))
    awake = evolve(asleep, JobResumeRequested(at(3), "k"))
    assert evolve(awake, JobRestartRequested(at(4), 2, "k")).status.phase is JobPhase.RUNNING
