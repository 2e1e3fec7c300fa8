"""Wishes and what they lead to: `decide(job, command)` gives the changes to append, or refuses.

A command that is already fulfilled leads to no change, so doing it twice is harmless.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hostler_domain.advice import condition_type, standing_advice
from hostler_domain.catalogue import ModelMaster
from hostler_domain.changes import (
    Change,
    GivenAdvice,
    JobAdvised,
    JobCreated,
    JobDeleted,
    JobDeleteRequested,
    JobFailed,
    JobScaled,
)
from hostler_domain.errors import Conflict, FieldError, InvalidFields, NotFound
from hostler_domain.job import Job, JobSpec, ScaleHold
from hostler_domain.lifecycle import LifecycleCommand, decide_lifecycle
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.spec_rules import spec_errors

HOLD_SECONDS_MIN = 60
HOLD_SECONDS_MAX = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Serve a model."""

    at: datetime
    job_id: str
    spec: JobSpec
    master: ModelMaster | None
    created_by: str


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Take a job down with everything that belongs to it."""

    at: datetime
    requested_by: str


@dataclass(frozen=True, slots=True)
class FinishDelete:
    """Write the tombstone, now that nothing of the job is left."""

    at: datetime


@dataclass(frozen=True, slots=True)
class ScaleJob:
    """Have another number of replicas, within the job's bounds.

    Attributes:
        at: When it was asked for or decided.
        desired_replicas: The number.
        reasons: Why, in words with the numbers.
        policy_state: What the autoscaler remembers with it; None of somebody who scales by hand.
        hold_until: The number shall stay until then, whatever the load is; None asks for no hold.
        by_owner: Whether the job's owner asks, who ends an earlier hold by that; whoever follows the load ends none.
    """

    at: datetime
    desired_replicas: int
    reasons: tuple[str, ...]
    policy_state: str | None = None
    hold_until: datetime | None = None
    by_owner: bool = False


@dataclass(frozen=True, slots=True)
class AdviseJob:
    """Tell the owner what to change: all advice that holds now."""

    at: datetime
    advice: tuple[GivenAdvice, ...]


@dataclass(frozen=True, slots=True)
class GiveUpJob:
    """Stop trying to start it."""

    at: datetime
    reason: PhaseReason
    detail: str


Command = CreateJob | DeleteJob | FinishDelete | ScaleJob | AdviseJob | GiveUpJob | LifecycleCommand


def decide(job: Job | None, command: Command) -> tuple[Change, ...]:
    """The changes that `command` leads to, none where it is fulfilled already.

    Raises:
        InvalidFields: the wish itself makes no sense; every field at fault is named.
        NotFound: there is no such job.
        Conflict: the job is in a phase that does not allow it.
    """
    if isinstance(command, CreateJob):
        return _created(job, command)
    if job is None:
        raise NotFound("there is no such job")
    match command:
        case DeleteJob():
            if job.status.desired_phase is DesiredPhase.DELETED:
                return ()
            return (JobDeleteRequested(command.at, command.requested_by),)
        case FinishDelete():
            if job.status.phase is not JobPhase.DELETING or not all(each.ended for each in job.replicas):
                return ()
            return (JobDeleted(command.at),)
        case ScaleJob():
            return _scaled(job, command)
        case AdviseJob():
            return _advised(job, command)
        case GiveUpJob():
            if job.wanted_replicas == 0:
                return ()
            return (JobFailed(command.at, command.reason, command.detail),)
        case _:
            return decide_lifecycle(job, command)


def _advised(job: Job, command: AdviseJob) -> tuple[Change, ...]:
    standing = {each.type: each.message for each in standing_advice(job)}
    wanted = {condition_type(each.kind): each.sentence for each in command.advice}
    if wanted == standing or job.status.desired_phase is DesiredPhase.DELETED:
        return ()
    return (JobAdvised(command.at, command.advice),)


def held_until(now: datetime, hold_seconds: int) -> datetime:
    """When a hold that begins now is over.

    Raises:
        InvalidFields: it would be too short to be of use, or would be forgotten about.
    """
    if not HOLD_SECONDS_MIN <= hold_seconds <= HOLD_SECONDS_MAX:
        raise InvalidFields(
            FieldError(
                "hold_seconds", f"must be from {HOLD_SECONDS_MIN} to {HOLD_SECONDS_MAX}, got {hold_seconds}"
            )
        )
    return now + timedelta(seconds=hold_seconds)


def _created(job: Job | None, command: CreateJob) -> tuple[Change, ...]:
    if job is not None:
        raise Conflict(f"job {job.job_id} exists already")
    errors = tuple(spec_errors(command.spec, command.master))
    if errors:
        raise InvalidFields(*errors)
    return (JobCreated(command.at, command.job_id, command.spec, command.master, command.created_by),)


def _scaled(job: Job, command: ScaleJob) -> tuple[Change, ...]:
    if job.status.desired_phase is not DesiredPhase.RUNNING:
        raise Conflict(f"job {job.job_id} is not meant to run, it can't be scaled")
    wanted = job.spec.scaling.clamp(command.desired_replicas)
    if wanted != command.desired_replicas:
        raise InvalidFields(
            FieldError(
                "replicas",
                f"must be from {job.spec.scaling.min_replicas} to {job.spec.scaling.max_replicas}, got {command.desired_replicas}",
            )
        )
    if command.hold_until is None:
        hold = None if command.by_owner else job.status.held(command.at)
    else:
        hold = ScaleHold(wanted, command.hold_until)
    if wanted == job.status.desired_replicas and hold == job.status.held(command.at):
        return ()
    before = job.status.desired_replicas
    return (JobScaled(command.at, before, wanted, command.reasons, command.policy_state, hold),)
