"""Folding changes into a job: `evolve(job, change)` is the job after the change.

Every service and every test that replays a log uses this one function, so the record in an event and the record that a
fold arrives at are the same to the byte. What the phase becomes is derived here from the replicas, never set by a writer.
"""

from dataclasses import replace
from datetime import datetime

from hostler_domain.advice import advised_conditions
from hostler_domain.changes import (
    Change,
    JobAdvised,
    JobCreated,
    JobDeleted,
    JobDeleteRequested,
    JobFailed,
    JobPending,
    JobRestartRequested,
    JobResumeRequested,
    JobScaled,
    JobStopped,
    JobStopRequested,
    JobUnreachable,
    JobUpdated,
    ReplicaBooting,
    ReplicaChange,
    ReplicaDraining,
    ReplicaFailed,
    ReplicaImporting,
    ReplicaLoading,
    ReplicaReady,
    ReplicaScheduled,
    ReplicaTerminated,
    ReplicaTerminating,
    ReplicaUnhealthy,
)
from hostler_domain.errors import IllegalTransition
from hostler_domain.job import ENDED_REPLICAS_KEPT, Condition, Job, JobStatus, Replica
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseEvent
from hostler_domain.phases import transition as phase_transition
from hostler_domain.replica_states import START_STATES, ReplicaEvent, ReplicaReason, ReplicaState
from hostler_domain.replica_states import transition as replica_transition

SCALED_TO_ZERO = "ScaledToZero"

_EVENT_OF: dict[type[ReplicaChange], ReplicaEvent] = {
    ReplicaScheduled: ReplicaEvent.SCHEDULED,
    ReplicaImporting: ReplicaEvent.IMPORTING,
    ReplicaBooting: ReplicaEvent.BOOTING,
    ReplicaLoading: ReplicaEvent.LOADING,
    ReplicaReady: ReplicaEvent.READY,
    ReplicaUnhealthy: ReplicaEvent.UNHEALTHY,
    ReplicaDraining: ReplicaEvent.DRAINING,
    ReplicaTerminating: ReplicaEvent.TERMINATING,
    ReplicaTerminated: ReplicaEvent.TERMINATED,
    ReplicaFailed: ReplicaEvent.FAILED,
}

# Phases in which the replicas say where the job is; elsewhere a wish or a verdict stands.
_FOLLOWS_REPLICAS = frozenset(
    {
        JobPhase.CREATING,
        JobPhase.PENDING,
        JobPhase.INITIALIZING,
        JobPhase.RUNNING,
        JobPhase.DEGRADED,
        JobPhase.UPDATING,
        JobPhase.RESUMING,
        JobPhase.TERMINATING,
        JobPhase.UNKNOWN,
    }
)


# Phases in which replacing replicas shows: one that serves nothing yet just starts with other replicas.
_ROLLS_OUT = frozenset({JobPhase.RUNNING, JobPhase.DEGRADED, JobPhase.UPDATING})


def evolve(job: Job | None, change: Change) -> Job:
    """The job after `change`.

    Args:
        job: The job before it; None only for `JobCreated`.
        change: What happened.

    Raises:
        IllegalTransition: the change does not fit the job as it is.
    """
    match change:
        case JobCreated():
            if job is not None:
                raise IllegalTransition(f"job {job.job_id} exists already")
            return _created(change)
        case _ if job is None:
            raise IllegalTransition(f"{type(change).__name__} needs a job, and there is none")
        case JobPending():
            # A job that serves with too few stays Degraded, and one that is being updated Updating; each has the reason all the same.
            event = observed_phase(job)
            event = event if event in (PhaseEvent.SHORT, PhaseEvent.UPDATE_STARTED) else PhaseEvent.QUEUED
            status = _phase(job.status, event, change.at)
            return replace(
                job, status=replace(status, phase_reason=change.reason, phase_detail=change.detail)
            )
        case JobScaled():
            status = replace(job.status, desired_replicas=change.desired_replicas, hold=change.hold)
            return _settle(replace(job, status=status), change.at)
        case JobAdvised():
            conditions = advised_conditions(job.status.conditions, change)
            return replace(job, status=replace(job.status, conditions=conditions))
        case JobFailed():
            status = _phase(job.status, PhaseEvent.FAILED, change.at)
            return replace(
                job, status=replace(status, phase_reason=change.reason, phase_detail=change.detail)
            )
        case JobUnreachable():
            status = _phase(job.status, PhaseEvent.CLUSTER_LOST, change.at)
            return replace(job, status=replace(status, phase_detail=change.detail))
        case JobStopRequested() | JobStopped() | JobResumeRequested() | JobRestartRequested() | JobUpdated():
            return _lifecycle(job, change)
        case JobDeleteRequested():
            status = _phase(job.status, PhaseEvent.DELETE_REQUESTED, change.at)
            return replace(job, status=replace(status, desired_phase=DesiredPhase.DELETED))
        case JobDeleted():
            _refuse_left_over(job)
            status = _phase(job.status, PhaseEvent.DELETED, change.at)
            return replace(job, status=replace(status, replicas=()), deleted_at=change.at)
        case _:
            return _settle(_with_replica(job, change), change.at)


def _lifecycle(
    job: Job,
    change: JobStopRequested | JobStopped | JobResumeRequested | JobRestartRequested | JobUpdated,
) -> Job:
    match change:
        case JobStopRequested():
            status = _phase(job.status, PhaseEvent.STOP_REQUESTED, change.at)
            return replace(job, status=replace(status, desired_phase=DesiredPhase.STOPPED))
        case JobStopped():
            _refuse_left_over(job)
            return replace(job, status=_phase(job.status, PhaseEvent.STOPPED, change.at))
        case JobResumeRequested():
            return _resumed(job, change)
        case JobRestartRequested():
            return _rolled_out(replace(job, generation=change.generation), change.at)
        case JobUpdated():
            desired = change.spec.scaling.clamp(job.status.desired_replicas)
            status = replace(job.status, desired_replicas=desired)
            return _rolled_out(
                replace(job, spec=change.spec, generation=change.generation, status=status), change.at
            )


def observed_phase(job: Job) -> PhaseEvent:
    """What the replicas of a job that is meant to run amount to.

    | wanted | phase    | outdated | ready           | placed     | ever ready | event          |
    | ------ | -------- | -------- | --------------- | ---------- | ---------- | -------------- |
    | 0      | any      | any      | any             | any        | any        | READY          |
    | > 0    | Updating | some     | any             | any        | any        | UPDATE_STARTED |
    | > 0    | Updating | none     | < minimum       | any        | any        | UPDATE_STARTED |
    | > 0    | any      | any      | >= minimum      | any        | any        | READY          |
    | > 0    | other    | any      | 0 < r < minimum | any        | yes        | SHORT          |
    | > 0    | other    | any      | otherwise       | >= minimum | any        | PLACED         |
    | > 0    | other    | any      | otherwise       | < minimum  | any        | QUEUED         |

    The minimum is `Job.minimum_ready`. A job that served and has no ready replica left is starting again, so it is Initializing
    or Pending once more and its start may fail for good. An update is over when no replica of an earlier generation is active
    and the minimum is ready; a job that gets to READY with one is Updating at once (`_settle`).
    """
    if job.wanted_replicas == 0:
        return PhaseEvent.READY
    minimum = job.minimum_ready
    ready = len(job.ready_replicas)
    if job.status.phase is JobPhase.UPDATING and (job.outdated_replicas or ready < minimum):
        return PhaseEvent.UPDATE_STARTED
    if ready >= minimum:
        return PhaseEvent.READY
    if ready > 0 and job.status.first_ready_at is not None:
        return PhaseEvent.SHORT
    return PhaseEvent.PLACED if len(job.active_replicas) >= minimum else PhaseEvent.QUEUED


def _created(change: JobCreated) -> Job:
    return Job(
        job_id=change.job_id,
        spec=change.spec,
        master=change.master,
        status=JobStatus(
            phase=JobPhase.CREATING,
            phase_since=change.at,
            desired_phase=DesiredPhase.RUNNING,
            desired_replicas=change.spec.scaling.initial_replicas,
        ),
        generation=1,
        created_at=change.at,
        created_by=change.created_by,
    )


def _refuse_left_over(job: Job) -> None:
    if not all(replica.ended for replica in job.replicas):
        raise IllegalTransition(f"job {job.job_id} still has replicas that hold something")


def _resumed(job: Job, change: JobResumeRequested) -> Job:
    """`job` starting over: as a new one does, with as many replicas, and with no failure held against it."""
    status = replace(
        _phase(job.status, PhaseEvent.RESUME_REQUESTED, change.at),
        desired_phase=DesiredPhase.RUNNING,
        desired_replicas=job.spec.scaling.initial_replicas,
        first_ready_at=None,
        start_failures=0,
        last_failure_at=None,
    )
    resumed = replace(job, status=status)
    # One that is to have no replica yet is asleep at once: nothing else would ever move it on.
    return _settle(resumed, change.at) if resumed.wanted_replicas == 0 else resumed


def _rolled_out(job: Job, at: datetime) -> Job:
    """`job` in the phase Updating if it serves and has replicas of an earlier generation."""
    if job.status.phase in _ROLLS_OUT and job.wanted_replicas > 0 and job.outdated_replicas:
        job = replace(job, status=_phase(job.status, PhaseEvent.UPDATE_STARTED, at))
    return _settle(job, at)


def _phase(status: JobStatus, event: PhaseEvent, at: datetime) -> JobStatus:
    """`status` in the phase that `event` leads to; a new phase starts without a reason."""
    phase = phase_transition(status.phase, event)
    if phase is status.phase:
        return status
    return replace(status, phase=phase, phase_since=at, phase_reason=None, phase_detail="")


def _settle(job: Job, at: datetime) -> Job:
    """`job` with its phase and conditions brought in line with its replicas."""
    status = job.status
    if status.phase in _FOLLOWS_REPLICAS and status.desired_phase is DesiredPhase.RUNNING:
        event = observed_phase(job)
        status = _phase(status, event, at)
        if event is PhaseEvent.READY and job.wanted_replicas > 0:
            status = replace(
                status,
                first_ready_at=status.first_ready_at or at,
                phase_reason=None,
                phase_detail="",
            )
            if job.outdated_replicas:
                # It was made old while it started, and was ready before anybody ended it; what it serves with is still to be replaced.
                status = _phase(status, PhaseEvent.UPDATE_STARTED, at)
    asleep = status.phase is JobPhase.RUNNING and job.wanted_replicas == 0
    return replace(job, status=replace(status, conditions=_conditions(status.conditions, asleep, at)))


def _conditions(before: tuple[Condition, ...], asleep: bool, at: datetime) -> tuple[Condition, ...]:
    known = next((condition for condition in before if condition.type == SCALED_TO_ZERO), None)
    if known is None and not asleep:
        return before
    if known is not None and known.status is asleep:
        return before
    others = tuple(condition for condition in before if condition.type != SCALED_TO_ZERO)
    reason, message = (
        ("Idle", "no requests; the next one wakes it") if asleep else ("Awake", "it has replicas")
    )
    return (*others, Condition(SCALED_TO_ZERO, asleep, reason, message, at))


def _with_replica(job: Job, change: ReplicaChange) -> Job:
    if isinstance(change, ReplicaScheduled):
        if job.replica(change.replica_id) is not None:
            raise IllegalTransition(f"replica {change.replica_id} exists already")
        replica = Replica(
            replica_id=change.replica_id,
            generation=job.generation,
            state=replica_transition(ReplicaState.PENDING, ReplicaEvent.SCHEDULED),
            since=change.at,
            placement=change.placement,
            created_at=change.at,
        )
        # Whatever it waited for, it waits for that no more; the scheduler says so again where more is missing.
        status = replace(job.status, phase_reason=None, phase_detail="")
        return replace(job, status=replace(status, replicas=_kept((*job.replicas, replica))))
    before = job.replica(change.replica_id)
    if before is None:
        raise IllegalTransition(f"job {job.job_id} has no replica {change.replica_id}")
    after = _moved(before, change)
    replicas = tuple(after if replica is before else replica for replica in job.replicas)
    status = _failures(replace(job.status, replicas=_kept(replicas)), before, change)
    return replace(job, status=status)


def _moved(replica: Replica, change: ReplicaChange) -> Replica:
    state = replica_transition(replica.state, _EVENT_OF[type(change)])
    moved = replace(replica, state=state, since=replica.since if state is replica.state else change.at)
    match change:
        case ReplicaImporting() | ReplicaBooting() | ReplicaLoading():
            return replace(moved, progress=change.progress)
        case ReplicaReady():
            return replace(
                moved,
                endpoint_url=change.endpoint_url,
                ready_at=replica.ready_at or change.at,
                progress=None,
                detail="",
            )
        case ReplicaUnhealthy():
            return replace(moved, detail=change.detail)
        case ReplicaDraining():
            return replace(moved, reason=change.reason, yields_to=change.yields_to, progress=None)
        case ReplicaFailed():
            return replace(moved, reason=change.reason, detail=change.detail, progress=None)
        case ReplicaTerminating():
            return replace(moved, detail=change.detail)
        case _:
            return moved


def _failures(status: JobStatus, before: Replica, change: ReplicaChange) -> JobStatus:
    """Starts that failed in a row: counted up by one that ends before it was ready, forgotten when one becomes ready."""
    if isinstance(change, ReplicaReady):
        return replace(status, start_failures=0)
    if not isinstance(change, ReplicaFailed):
        return status
    # A place that was given away twice is no fault of the job.
    starting = before.state in START_STATES and change.reason is not ReplicaReason.NO_ROOM
    return replace(
        status,
        start_failures=status.start_failures + 1 if starting else status.start_failures,
        last_failure_at=change.at,
    )


def _kept(replicas: tuple[Replica, ...]) -> tuple[Replica, ...]:
    """All that live and the latest that ended, in order of their ids."""
    ended = sorted(
        (replica for replica in replicas if replica.ended), key=lambda each: (each.since, each.replica_id)
    )
    forgotten = {replica.replica_id for replica in ended[: max(len(ended) - ENDED_REPLICAS_KEPT, 0)]}
    living = (replica for replica in replicas if replica.replica_id not in forgotten)
    return tuple(sorted(living, key=lambda each: each.replica_id))
