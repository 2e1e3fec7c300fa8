"""Lyceum's words for where a job and its replicas are.

Pure tables. Lyceum publishes no list of its words: these are the ones that its documentation and its command line know, and of
a deployment's words the command line paints `created` alone green.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from hostler_domain.evolve import SCALED_TO_ZERO
from hostler_domain.job import Job, Replica
from hostler_domain.phases import DesiredPhase, JobPhase
from hostler_domain.replica_states import ReplicaReason, ReplicaState


class DeploymentStatus(StrEnum):
    """Where a deployment is."""

    PENDING = "pending"
    """It waits for room, or its first replicas start."""
    CREATED = "created"
    """It serves."""
    PAUSED = "paused"
    """It has no replicas because nobody calls it; a request brings them back."""
    STOPPED = "stopped"
    """It ended, or was stopped through another door of Hostler; requests do not wake it."""
    FAILED = "failed"


class ReplicaStatus(StrEnum):
    """Where a replica is."""

    PENDING = "pending"
    PULLING_DOCKER_IMAGE = "pulling_docker_image"
    INITING_DOCKER_CONTAINER = "initing_docker_container"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


_D = DeploymentStatus
_R = ReplicaStatus

BY_PHASE: Mapping[JobPhase, DeploymentStatus] = MappingProxyType(
    {
        JobPhase.CREATING: _D.PENDING,
        JobPhase.PENDING: _D.PENDING,
        JobPhase.INITIALIZING: _D.PENDING,
        JobPhase.RUNNING: _D.CREATED,
        JobPhase.DEGRADED: _D.CREATED,
        JobPhase.UPDATING: _D.CREATED,
        JobPhase.STOPPING: _D.STOPPED,
        JobPhase.STOPPED: _D.STOPPED,
        JobPhase.RESUMING: _D.PENDING,
        JobPhase.TERMINATING: _D.PENDING,
        JobPhase.FAILED: _D.FAILED,
        JobPhase.UNKNOWN: _D.PENDING,
        JobPhase.DELETING: _D.STOPPED,
        JobPhase.DELETED: _D.STOPPED,
    }
)
BY_STATE: Mapping[ReplicaState, ReplicaStatus] = MappingProxyType(
    {
        ReplicaState.PENDING: _R.PENDING,
        ReplicaState.SCHEDULED: _R.PENDING,
        ReplicaState.IMPORTING: _R.PULLING_DOCKER_IMAGE,
        ReplicaState.BOOTING: _R.INITING_DOCKER_CONTAINER,
        ReplicaState.LOADING: _R.INITING_DOCKER_CONTAINER,
        ReplicaState.READY: _R.RUNNING,
        ReplicaState.UNHEALTHY: _R.RUNNING,
        ReplicaState.DRAINING: _R.STOPPED,
        ReplicaState.TERMINATING: _R.STOPPED,
        ReplicaState.TERMINATED: _R.STOPPED,
        ReplicaState.FAILED: _R.FAILED,
    }
)
_HEALTHY: Mapping[ReplicaState, bool] = MappingProxyType(
    {ReplicaState.READY: True, ReplicaState.UNHEALTHY: False, ReplicaState.FAILED: False}
)
_GOING = (ReplicaState.DRAINING, ReplicaState.TERMINATING)


def deployment_status(job: Job) -> DeploymentStatus:
    """Where the job is."""
    asleep = any(each.type == SCALED_TO_ZERO and each.status for each in job.status.conditions)
    if asleep and job.status.phase is JobPhase.RUNNING:
        return DeploymentStatus.PAUSED
    return BY_PHASE[job.status.phase]


def terminated(job: Job) -> bool:
    """Whether it counts as gone: for Lyceum from the moment that it was asked to go."""
    return job.status.desired_phase is DesiredPhase.DELETED


def replica_status(replica: Replica) -> ReplicaStatus:
    """Where the replica is; one that goes because another takes its place is restarting."""
    if replica.state in _GOING and replica.reason is ReplicaReason.REPLACED:
        return ReplicaStatus.RESTARTING
    return BY_STATE[replica.state]


def healthy(replica: Replica) -> bool | None:
    """Whether it serves; None before that can be known, and once it goes."""
    return _HEALTHY.get(replica.state)
