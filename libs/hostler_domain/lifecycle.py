"""Stop, resume, restart, update: wishes about a job that exists, and the changes they lead to.

`commands.decide` hands these commands on. One that is already fulfilled leads to no change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from hostler_domain.changes import (
    Change,
    JobRestartRequested,
    JobResumeRequested,
    JobStopped,
    JobStopRequested,
    JobUpdated,
)
from hostler_domain.errors import Conflict, FieldError, InvalidFields
from hostler_domain.job import Job, JobSpec
from hostler_domain.phases import DesiredPhase, JobPhase
from hostler_domain.spec_rules import spec_errors


@dataclass(frozen=True, slots=True)
class StopJob:
    """Take all replicas away and keep the job."""

    at: datetime
    requested_by: str


@dataclass(frozen=True, slots=True)
class FinishStop:
    """Say that it is stopped, now that no replica is left."""

    at: datetime


@dataclass(frozen=True, slots=True)
class ResumeJob:
    """Start a stopped or failed job over."""

    at: datetime
    requested_by: str


@dataclass(frozen=True, slots=True)
class RestartJob:
    """Replace every replica, one at a time.

    Attributes:
        at: When it was asked for.
        requested_by: Id of the key that asked.
        of_generation: Only replicas up to this generation are meant, so that asking again does nothing; None means all there are.
    """

    at: datetime
    requested_by: str
    of_generation: int | None = None


@dataclass(frozen=True, slots=True)
class UpdateJob:
    """Serve by another spec from now on."""

    at: datetime
    spec: JobSpec
    requested_by: str


LifecycleCommand = StopJob | FinishStop | ResumeJob | RestartJob | UpdateJob


def decide_lifecycle(job: Job, command: LifecycleCommand) -> tuple[Change, ...]:
    """The changes that `command` leads to.

    Raises:
        InvalidFields: the new spec makes no sense, or changes what can't be changed.
        Conflict: the job is in a phase that does not allow it.
    """
    match command:
        case StopJob():
            _refuse_going(job)
            if job.status.desired_phase is DesiredPhase.STOPPED:
                return ()
            return (JobStopRequested(command.at, command.requested_by),)
        case FinishStop():
            if job.status.phase is not JobPhase.STOPPING or not all(each.ended for each in job.replicas):
                return ()
            return (JobStopped(command.at),)
        case ResumeJob():
            return _resumed(job, command.at, command.requested_by)
        case RestartJob():
            return _restarted(job, command)
        case UpdateJob():
            return _updated(job, command)


def needs_rollout(before: JobSpec, after: JobSpec) -> bool:
    """Whether replicas made from `before` must be replaced to serve by `after`; bounds, labels and the like need none."""
    return _made_from(before) != _made_from(after)


def update_errors(job: Job, spec: JobSpec) -> Iterator[FieldError]:
    """Everything that keeps `job` from having this spec: what can't be changed, and what makes no sense."""
    fixed = (
        ("name", job.spec.name, spec.name),
        ("project", job.spec.project, spec.project),
        ("model", job.spec.model, spec.model),
        ("kind", job.spec.kind, spec.kind),
    )
    for field, before, after in fixed:
        if before != after:
            yield FieldError(field, "can't be changed; make a new job")
    yield from spec_errors(spec, job.master)


def _made_from(spec: JobSpec) -> tuple[object, ...]:
    return (
        spec.model,
        spec.runtime,
        spec.runtime_image,
        dict(spec.serving.args),
        dict(spec.serving.env),
        spec.hardware_profile,
        spec.gpu_count,
        spec.location,
        spec.hf_token_secret,
        spec.root_disk_gb,
        spec.ssh_keys,
        spec.locations,
    )


def _refuse_going(job: Job) -> None:
    if job.status.desired_phase is DesiredPhase.DELETED:
        raise Conflict(f"job {job.job_id} is {job.status.phase}: it was deleted")


def _resumed(job: Job, at: datetime, requested_by: str) -> tuple[Change, ...]:
    _refuse_going(job)
    if job.status.phase is JobPhase.STOPPING:
        raise Conflict(f"job {job.job_id} is still stopping; resume it when it is stopped")
    if job.status.phase not in (JobPhase.STOPPED, JobPhase.FAILED):
        return ()
    return (JobResumeRequested(at, requested_by),)


def _restarted(job: Job, command: RestartJob) -> tuple[Change, ...]:
    _refuse_going(job)
    if job.status.desired_phase is DesiredPhase.STOPPED:
        raise Conflict(f"job {job.job_id} is {job.status.phase}: there is nothing to restart, resume it")
    if job.status.phase is JobPhase.FAILED:
        # A restart asks for new replicas, and a failed job gets them by starting over.
        return _resumed(job, command.at, command.requested_by)
    if command.of_generation is not None and job.generation > command.of_generation:
        return ()
    return (JobRestartRequested(command.at, job.generation + 1, command.requested_by),)


def _updated(job: Job, command: UpdateJob) -> tuple[Change, ...]:
    _refuse_going(job)
    errors = tuple(update_errors(job, command.spec))
    if errors:
        raise InvalidFields(*errors)
    if command.spec == job.spec:
        return ()
    generation = job.generation + needs_rollout(job.spec, command.spec)
    return (JobUpdated(command.at, command.spec, generation, command.requested_by),)
