"""The events of the JOBS stream: one frozen model per kind and version.

`data.change` says what happened, `data.job` is the whole job after it. A new field with a default keeps the version; anything
else makes a new version beside the old one, because old messages stay readable for as long as they are kept.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import Field

from hostler_contracts.envelope import CloudEvent, Contract
from hostler_domain import changes
from hostler_domain.job import Job

ChangeT = TypeVar("ChangeT")


class Fact(Contract, Generic[ChangeT]):
    """What happened, and the job after it."""

    change: ChangeT
    job: Job


class Record(Contract):
    """The job after something that this version of the program has no name for."""

    change: dict[str, Any]  # the unknown change of a newer writer: nobody here reads it
    job: Job


class UnknownJobEventV0(CloudEvent):
    """An event of a newer kind; the record in it can be read all the same."""

    data: Record


class JobCreatedV1(CloudEvent):
    """`job.created`, version 1."""

    type: Literal["dev.hostler.job.created.v1"] = "dev.hostler.job.created.v1"
    data: Fact[changes.JobCreated]


class JobPendingV1(CloudEvent):
    """`job.pending`, version 1."""

    type: Literal["dev.hostler.job.pending.v1"] = "dev.hostler.job.pending.v1"
    data: Fact[changes.JobPending]


class JobScaledV1(CloudEvent):
    """`job.scaled`, version 1."""

    type: Literal["dev.hostler.job.scaled.v1"] = "dev.hostler.job.scaled.v1"
    data: Fact[changes.JobScaled]


class JobAdvisedV1(CloudEvent):
    """`job.advised`, version 1."""

    type: Literal["dev.hostler.job.advised.v1"] = "dev.hostler.job.advised.v1"
    data: Fact[changes.JobAdvised]


class JobStopRequestedV1(CloudEvent):
    """`job.stop_requested`, version 1."""

    type: Literal["dev.hostler.job.stop_requested.v1"] = "dev.hostler.job.stop_requested.v1"
    data: Fact[changes.JobStopRequested]


class JobStoppedV1(CloudEvent):
    """`job.stopped`, version 1."""

    type: Literal["dev.hostler.job.stopped.v1"] = "dev.hostler.job.stopped.v1"
    data: Fact[changes.JobStopped]


class JobResumeRequestedV1(CloudEvent):
    """`job.resume_requested`, version 1."""

    type: Literal["dev.hostler.job.resume_requested.v1"] = "dev.hostler.job.resume_requested.v1"
    data: Fact[changes.JobResumeRequested]


class JobRestartRequestedV1(CloudEvent):
    """`job.restart_requested`, version 1."""

    type: Literal["dev.hostler.job.restart_requested.v1"] = "dev.hostler.job.restart_requested.v1"
    data: Fact[changes.JobRestartRequested]


class JobUpdatedV1(CloudEvent):
    """`job.updated`, version 1."""

    type: Literal["dev.hostler.job.updated.v1"] = "dev.hostler.job.updated.v1"
    data: Fact[changes.JobUpdated]


class JobFailedV1(CloudEvent):
    """`job.failed`, version 1."""

    type: Literal["dev.hostler.job.failed.v1"] = "dev.hostler.job.failed.v1"
    data: Fact[changes.JobFailed]


class JobUnreachableV1(CloudEvent):
    """`job.unreachable`, version 1."""

    type: Literal["dev.hostler.job.unreachable.v1"] = "dev.hostler.job.unreachable.v1"
    data: Fact[changes.JobUnreachable]


class JobDeleteRequestedV1(CloudEvent):
    """`job.delete_requested`, version 1."""

    type: Literal["dev.hostler.job.delete_requested.v1"] = "dev.hostler.job.delete_requested.v1"
    data: Fact[changes.JobDeleteRequested]


class JobDeletedV1(CloudEvent):
    """`job.deleted`, version 1."""

    type: Literal["dev.hostler.job.deleted.v1"] = "dev.hostler.job.deleted.v1"
    data: Fact[changes.JobDeleted]


class ReplicaScheduledV1(CloudEvent):
    """`replica.scheduled`, version 1."""

    type: Literal["dev.hostler.replica.scheduled.v1"] = "dev.hostler.replica.scheduled.v1"
    data: Fact[changes.ReplicaScheduled]


class ReplicaImportingV1(CloudEvent):
    """`replica.importing`, version 1."""

    type: Literal["dev.hostler.replica.importing.v1"] = "dev.hostler.replica.importing.v1"
    data: Fact[changes.ReplicaImporting]


class ReplicaBootingV1(CloudEvent):
    """`replica.booting`, version 1."""

    type: Literal["dev.hostler.replica.booting.v1"] = "dev.hostler.replica.booting.v1"
    data: Fact[changes.ReplicaBooting]


class ReplicaLoadingV1(CloudEvent):
    """`replica.loading`, version 1."""

    type: Literal["dev.hostler.replica.loading.v1"] = "dev.hostler.replica.loading.v1"
    data: Fact[changes.ReplicaLoading]


class ReplicaReadyV1(CloudEvent):
    """`replica.ready`, version 1."""

    type: Literal["dev.hostler.replica.ready.v1"] = "dev.hostler.replica.ready.v1"
    data: Fact[changes.ReplicaReady]


class ReplicaUnhealthyV1(CloudEvent):
    """`replica.unhealthy`, version 1."""

    type: Literal["dev.hostler.replica.unhealthy.v1"] = "dev.hostler.replica.unhealthy.v1"
    data: Fact[changes.ReplicaUnhealthy]


class ReplicaDrainingV1(CloudEvent):
    """`replica.draining`, version 1."""

    type: Literal["dev.hostler.replica.draining.v1"] = "dev.hostler.replica.draining.v1"
    data: Fact[changes.ReplicaDraining]


class ReplicaTerminatingV1(CloudEvent):
    """`replica.terminating`, version 1."""

    type: Literal["dev.hostler.replica.terminating.v1"] = "dev.hostler.replica.terminating.v1"
    data: Fact[changes.ReplicaTerminating]


class ReplicaTerminatedV1(CloudEvent):
    """`replica.terminated`, version 1."""

    type: Literal["dev.hostler.replica.terminated.v1"] = "dev.hostler.replica.terminated.v1"
    data: Fact[changes.ReplicaTerminated]


class ReplicaFailedV1(CloudEvent):
    """`replica.failed`, version 1."""

    type: Literal["dev.hostler.replica.failed.v1"] = "dev.hostler.replica.failed.v1"
    data: Fact[changes.ReplicaFailed]


KnownJobEvent = (
    JobCreatedV1
    | JobPendingV1
    | JobScaledV1
    | JobAdvisedV1
    | JobStopRequestedV1
    | JobStoppedV1
    | JobResumeRequestedV1
    | JobRestartRequestedV1
    | JobUpdatedV1
    | JobFailedV1
    | JobUnreachableV1
    | JobDeleteRequestedV1
    | JobDeletedV1
    | ReplicaScheduledV1
    | ReplicaImportingV1
    | ReplicaBootingV1
    | ReplicaLoadingV1
    | ReplicaReadyV1
    | ReplicaUnhealthyV1
    | ReplicaDrainingV1
    | ReplicaTerminatingV1
    | ReplicaTerminatedV1
    | ReplicaFailedV1
)
JobEvent = KnownJobEvent | UnknownJobEventV0
AnyKnownJobEvent = Annotated[KnownJobEvent, Field(discriminator="type")]

EVENT_MODELS: tuple[type[CloudEvent], ...] = get_args(KnownJobEvent)
"""Every kind of event there is, newest version of each."""
