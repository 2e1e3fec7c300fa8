"""Wishes and what they lead to: `decide(job, command)` gives the changes to append, or refuses.

A command that is already fulfilled leads to no change, so doing it twice is harmless.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from hostler_domain.catalogue import ModelMaster
from hostler_domain.changes import Change, JobCreated, JobDeleted, JobDeleteRequested, JobFailed, JobScaled
from hostler_domain.errors import Conflict, FieldError, InvalidFields, NotFound
from hostler_domain.job import Job, JobSpec
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseReason
from hostler_domain.scaling import scaling_errors

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MODEL = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_ARG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_PROJECT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,126}[A-Za-z0-9])?", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,499}", re.ASCII)
_VALUE_LENGTH_MAX = 4096
PRIORITY_MAX = 150


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
    """Have another number of replicas, within the job's bounds."""

    at: datetime
    desired_replicas: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GiveUpJob:
    """Stop trying to start it."""

    at: datetime
    reason: PhaseReason
    detail: str


Command = CreateJob | DeleteJob | FinishDelete | ScaleJob | GiveUpJob


def decide(job: Job | None, command: Command) -> tuple[Change, ...]:
    """The changes that `command` leads to, none where it is fulfilled already.

    Raises:
        InvalidFields: the wish itself makes no sense; every field at fault is named.
        NotFound: there is no such job.
        Conflict: the job is in a phase that does not allow it.
    """
    if isinstance(command, CreateJob):
        if job is not None:
            raise Conflict(f"job {job.job_id} exists already")
        errors = tuple(spec_errors(command.spec, command.master))
        if errors:
            raise InvalidFields(*errors)
        return (JobCreated(command.at, command.job_id, command.spec, command.master, command.created_by),)
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
        case GiveUpJob():
            if job.wanted_replicas == 0:
                return ()
            return (JobFailed(command.at, command.reason, command.detail),)


def _scaled(job: Job, command: ScaleJob) -> tuple[Change, ...]:
    if job.status.desired_phase is not DesiredPhase.RUNNING:
        raise Conflict(f"job {job.job_id} is not meant to run, it can't be scaled")
    wanted = job.spec.scaling.clamp(command.desired_replicas)
    if wanted != command.desired_replicas:
        raise InvalidFields(
            FieldError(
                "desired_replicas",
                f"must be from {job.spec.scaling.min_replicas} to {job.spec.scaling.max_replicas}, got {command.desired_replicas}",
            )
        )
    if wanted == job.status.desired_replicas:
        return ()
    return (JobScaled(command.at, job.status.desired_replicas, wanted, command.reasons),)


def spec_errors(spec: JobSpec, master: ModelMaster | None) -> Iterator[FieldError]:
    """Everything that does not make sense in `spec`, whatever the cluster has."""
    if not _NAME.fullmatch(spec.name):
        yield FieldError("name", "must be 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'")
    if not _PROJECT.fullmatch(spec.project):
        yield FieldError("project", "must be 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit")
    if not _MODEL.fullmatch(spec.model):
        yield FieldError("model", "must be a Hugging Face id such as 'Qwen/Qwen3-32B'")
    if spec.gpu_count < 0:
        yield FieldError("gpu_count", f"must be 0 or more, got {spec.gpu_count}")
    if not 0 <= spec.priority <= PRIORITY_MAX:
        yield FieldError("priority", f"must be from 0 to {PRIORITY_MAX}, got {spec.priority}")
    if spec.timeouts.initialization_seconds < 1:
        yield FieldError("timeouts.initialization_seconds", "must be at least 1 second")
    if spec.timeouts.request_seconds < 1:
        yield FieldError("timeouts.request_seconds", "must be at least 1 second")
    if spec.location is not None and not _NAME.fullmatch(spec.location.lower()):
        yield FieldError("location", "must be the name of a site: letters, digits and '-'")
    if spec.runtime_image is not None and not _IMAGE.fullmatch(spec.runtime_image):
        yield FieldError("runtime_image", "must be an image reference such as 'vllm/vllm-openai:v0.12.0'")
    yield from scaling_errors(spec.scaling)
    yield from _mapping_errors("labels", spec.labels, _LABEL_NAME)
    yield from _mapping_errors("serving.args", spec.serving.args, _ARG_NAME)
    yield from _mapping_errors("serving.env", spec.serving.env, _ENV_NAME)
    if master is not None:
        yield from master.override_errors(spec.serving.args)


def _mapping_errors(
    field: str, values: Mapping[str, str], name_form: re.Pattern[str]
) -> Iterator[FieldError]:
    for name, value in values.items():
        if not name_form.fullmatch(name):
            yield FieldError(f"{field}.{name[:80]!r}", "is not a name that can be used here")
        if len(value) > _VALUE_LENGTH_MAX or "\0" in value or "\n" in value or "\r" in value:
            yield FieldError(
                f"{field}.{name[:80]}", f"must be one line of at most {_VALUE_LENGTH_MAX} characters"
            )
