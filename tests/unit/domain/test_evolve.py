"""Folding changes into a job: phases, replicas, conditions, and what is refused."""

import pytest

from hostler_domain.changes import (
    Change,
    JobDeleted,
    JobDeleteRequested,
    JobFailed,
    JobPending,
    JobScaled,
    ReplicaBooting,
    ReplicaFailed,
    ReplicaUnhealthy,
)
from hostler_domain.errors import IllegalTransition
from hostler_domain.evolve import SCALED_TO_ZERO, evolve
from hostler_domain.job import ENDED_REPLICAS_KEPT, Progress
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason, ReplicaState
from tests.support.builders import at, created, draining, fold, ready, running_job, scheduled, terminated

failed = ReplicaFailed(at(9), "r1", ReplicaReason.CRASHED, "signal 9")

PHASES: dict[str, tuple[list[Change], JobPhase]] = {
    "just made": ([created()], JobPhase.CREATING),
    "one of one placed": ([created(), scheduled()], JobPhase.INITIALIZING),
    "one of two placed": ([created(minimum=2), scheduled("r1")], JobPhase.PENDING),
    "no room": (
        [created(), JobPending(at(1), PhaseReason.NO_CAPACITY, "node-a: full")],
        JobPhase.PENDING,
    ),
    "two wanted, the minimum of one placed": ([created(initial=2), scheduled()], JobPhase.INITIALIZING),
    "one of one ready": ([created(), scheduled(), ready()], JobPhase.RUNNING),
    "one of two ready at the first start": (
        [created(minimum=2), scheduled("r1"), scheduled("r2"), ready("r1")],
        JobPhase.INITIALIZING,
    ),
    "one of two unhealthy after serving": (
        [
            created(minimum=2),
            scheduled("r1"),
            scheduled("r2"),
            ready("r1"),
            ready("r2"),
            ReplicaUnhealthy(at(9), "r2", "no answer"),
        ],
        JobPhase.DEGRADED,
    ),
    "the only one crashed": ([created(), scheduled(), ready(), failed], JobPhase.PENDING),
    "the crashed one replaced": (
        [created(), scheduled(), ready(), failed, scheduled("r2")],
        JobPhase.INITIALIZING,
    ),
    "given up": (
        [created(), scheduled(), JobFailed(at(9), PhaseReason.REPEATED_CRASH, "five times")],
        JobPhase.FAILED,
    ),
    "asleep": (
        [created(minimum=0), scheduled(), ready(), JobScaled(at(9), 1, 0, ("idle",)), draining()],
        JobPhase.RUNNING,
    ),
    "going": ([created(), scheduled(), ready(), JobDeleteRequested(at(9), "k")], JobPhase.DELETING),
    "gone": ([created(), JobDeleteRequested(at(9), "k"), JobDeleted(at(10))], JobPhase.DELETED),
}


@pytest.mark.parametrize(("changes", "phase"), PHASES.values(), ids=PHASES.keys())
def test_the_phase_follows_from_what_happened(changes: list[Change], phase: JobPhase) -> None:
    assert phase is fold(*changes).status.phase


def test_a_pending_job_says_why_and_forgets_it_once_placed() -> None:
    waiting = fold(created(), JobPending(at(1), PhaseReason.NO_CAPACITY, "node-a: full"))
    assert (waiting.status.phase_reason, waiting.status.phase_detail) == (
        PhaseReason.NO_CAPACITY,
        "node-a: full",
    )
    placed = evolve(waiting, scheduled())
    assert (placed.status.phase_reason, placed.status.phase_detail) == (None, "")


def test_a_degraded_job_without_room_for_more_stays_degraded_and_says_why() -> None:
    short = evolve(running_job(2, minimum=2), ReplicaFailed(at(9), "r1", ReplicaReason.CRASHED, "signal 9"))
    waiting = evolve(short, JobPending(at(10), PhaseReason.NO_CAPACITY, "node-a: full"))
    assert (waiting.status.phase, waiting.status.phase_reason) == (JobPhase.DEGRADED, PhaseReason.NO_CAPACITY)
    assert evolve(waiting, scheduled("r3")).status.phase_reason is None


def test_a_phase_keeps_the_time_at_which_it_began() -> None:
    job = evolve(running_job(), ready("r1", seconds=50))
    assert job.status.phase_since == at(5)


def test_a_failed_job_wants_no_replicas_and_a_deleting_one_neither() -> None:
    given_up = evolve(fold(created()), JobFailed(at(2), PhaseReason.CANNOT_START, "no such model"))
    going = evolve(fold(created()), JobDeleteRequested(at(2), "k"))
    assert (given_up.wanted_replicas, going.wanted_replicas) == (0, 0)


def test_starts_that_fail_are_counted_until_one_is_ready() -> None:
    start_failed = ReplicaFailed(at(2), "r1", ReplicaReason.START_FAILED, "exit 1")
    once = fold(created(), scheduled("r1"), start_failed)
    again = evolve(evolve(once, scheduled("r2")), ready("r2"))
    assert (once.status.start_failures, again.status.start_failures) == (1, 0)
    assert once.status.last_failure_at == at(2)


def test_a_crash_after_ready_is_no_failed_start() -> None:
    assert fold(created(), scheduled(), ready(), failed).status.start_failures == 0


def test_a_place_that_was_given_away_twice_counts_as_no_failed_start() -> None:
    no_room = ReplicaFailed(at(2), "r1", ReplicaReason.NO_ROOM, "node-a: needs 1 CPU cores, 0 free")
    assert fold(created(), scheduled("r1"), no_room).status.start_failures == 0


def test_progress_is_kept_while_starting_and_dropped_when_ready() -> None:
    booting = ReplicaBooting(at(2), "r1", Progress(0.5, "booting"))
    job = fold(created(), scheduled(), booting)
    assert job.replicas[0].progress == Progress(0.5, "booting")
    assert evolve(job, ready()).replicas[0].progress is None


def test_sleeping_shows_as_a_condition_that_turns_false_on_waking() -> None:
    asleep = fold(created(minimum=0), scheduled(), ready(), JobScaled(at(9), 1, 0, ("idle",)))
    awake = evolve(asleep, JobScaled(at(19), 0, 1, ("a request",)))
    conditions = [{each.type: each.status for each in job.status.conditions} for job in (asleep, awake)]
    assert conditions == [{SCALED_TO_ZERO: True}, {SCALED_TO_ZERO: False}]


def test_only_the_latest_ended_replicas_are_remembered() -> None:
    changes: list[Change] = [created(maximum=100)]
    for number in range(ENDED_REPLICAS_KEPT + 3):
        name = f"r{number:02}"
        changes += [scheduled(name, number), draining(name, number), terminated(name, number)]
    kept = [replica.replica_id for replica in fold(*changes).replicas]
    assert kept == ["r03", "r04", "r05", "r06", "r07"]


def test_a_replica_that_recovers_keeps_the_time_it_was_first_ready() -> None:
    job = evolve(evolve(running_job(), ReplicaUnhealthy(at(9), "r1", "no answer")), ready("r1", seconds=12))
    assert (job.replicas[0].ready_at, job.replicas[0].state) == (at(5), ReplicaState.READY)


REFUSED: dict[str, tuple[list[Change], Change]] = {
    "made twice": ([created()], created()),
    "a replica twice": ([created(), scheduled()], scheduled()),
    "a replica nobody scheduled": ([created()], ready("r9")),
    "ready after failing": ([created(), scheduled(), ready(), failed], ready()),
    "gone with a living replica": (
        [created(), scheduled(), JobDeleteRequested(at(3), "k")],
        JobDeleted(at(4)),
    ),
    "waiting for room while going": (
        [created(), JobDeleteRequested(at(3), "k")],
        JobPending(at(4), PhaseReason.NO_CAPACITY, ""),
    ),
}


@pytest.mark.parametrize(("changes", "change"), REFUSED.values(), ids=REFUSED.keys())
def test_a_change_that_does_not_fit_is_refused(changes: list[Change], change: Change) -> None:
    job = fold(*changes)
    with pytest.raises(IllegalTransition):
        evolve(job, change)


def test_only_a_creation_needs_no_job() -> None:
    with pytest.raises(IllegalTransition, match="needs a job"):
        evolve(None, ready())
