"""Lyceum's answers about deployments, made from jobs.

Pure; called by the routes. A field that Lyceum does not have is not added: its clients read these as they are.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from hostler_api.dialects.lyceum.words import (
    DeploymentStatus,
    ReplicaStatus,
    deployment_status,
    healthy,
    replica_status,
)
from hostler_domain.job import Job, Replica
from hostler_domain.replica_states import SERVING_STATES, ReplicaState
from hostler_domain.scaling import ScalingMetric


class Answer(BaseModel):
    """Root of every answer."""

    model_config = ConfigDict(frozen=True)


class Begun(Answer):
    """A deployment that was asked for, or asked to go."""

    deployment_id: str
    status: DeploymentStatus


class ReplicaAnswer(Answer):
    """One replica. `last_health_check` is when its health last changed; null before its first answer."""

    replica_id: str
    status: ReplicaStatus
    healthy: bool | None
    last_health_check: datetime | None
    fail_reason: str | None


class DeploymentSummary(Answer):
    """One deployment in a list. A target that the dialect can't express is null."""

    deployment_id: str
    hf_model_id: str
    hardware_profile: str
    status: DeploymentStatus
    min_replicas: int
    max_replicas: int
    current_replicas: int
    desired_replicas: int
    target_rps: float | None
    target_latency_p95_ms: float | None
    stabilisation_window: int
    created_at: datetime


class Deployment(DeploymentSummary):
    """One deployment with its replicas, the ones that ended lately included."""

    replicas: tuple[ReplicaAnswer, ...]


class DeploymentList(Answer):
    """Deployments of the org, newest first."""

    deployments: tuple[DeploymentSummary, ...]


class ReplicaLogsAnswer(Answer):
    """The end of what a replica wrote."""

    error_logs: str


def begun(job: Job) -> Begun:
    """What creating and stopping answer."""
    return Begun(deployment_id=job.job_id, status=deployment_status(job))


def summary(job: Job) -> DeploymentSummary:
    """A job as a deployment in a list."""
    return DeploymentSummary.model_validate(_fields(job))


def deployment(job: Job) -> Deployment:
    """A job as a deployment."""
    replicas = tuple(_replica(each) for each in job.replicas)
    return Deployment.model_validate({**_fields(job), "replicas": replicas})


def _fields(job: Job) -> dict[str, object]:
    scaling = job.spec.scaling
    throughput = scaling.target(ScalingMetric.THROUGHPUT)
    latency = scaling.target(ScalingMetric.LATENCY_P95)
    return {
        "deployment_id": job.job_id,
        "hf_model_id": job.spec.model,
        "hardware_profile": job.spec.hardware_profile,
        "status": deployment_status(job),
        "min_replicas": scaling.min_replicas,
        "max_replicas": scaling.max_replicas,
        "current_replicas": len(job.active_replicas),
        "desired_replicas": job.wanted_replicas,
        "target_rps": throughput.effective if throughput else None,
        "target_latency_p95_ms": latency.effective if latency else None,
        "stabilisation_window": scaling.stabilisation_window_seconds,
        "created_at": job.created_at,
    }


def _replica(replica: Replica) -> ReplicaAnswer:
    failed = replica.state is ReplicaState.FAILED
    return ReplicaAnswer(
        replica_id=replica.replica_id,
        status=replica_status(replica),
        healthy=healthy(replica),
        last_health_check=replica.since if replica.state in SERVING_STATES else None,
        fail_reason=": ".join(part for part in (str(replica.reason or ""), replica.detail) if part) or None
        if failed
        else None,
    )
