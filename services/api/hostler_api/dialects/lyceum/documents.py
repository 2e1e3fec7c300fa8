"""Lyceum's answers, made from jobs and from the catalogues.

Pure; called by the routes. A field that Lyceum does not have is not added: its clients read these as they are.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hostler_api.dialects.lyceum.requests import gpu_type
from hostler_api.dialects.lyceum.words import (
    DeploymentStatus,
    ReplicaStatus,
    deployment_status,
    healthy,
    replica_status,
)
from hostler_api.requests import DEFAULT_HARDWARE_PROFILE
from hostler_domain.capacity import Allocation, Node, free, requirement
from hostler_domain.catalogue import HardwareProfile, ModelMaster, Project
from hostler_domain.job import Job, Replica, Timeouts
from hostler_domain.replica_states import SERVING_STATES, ReplicaState
from hostler_domain.scaling import ScalingMetric

REPLICA_METER = "replica_running"
"""Lyceum names its meters as it likes; this one counts the hours of a replica."""


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


class ModelAnswer(Answer):
    """A model that can be deployed, on its recommended hardware. The price is per replica and hour."""

    serving_name: str
    hf_model_id: str
    gpu_type: str
    gpu_count: int
    price_per_hour: str | None
    is_gpu_available: bool | None
    ready_timeout_s: int


class ModelList(Answer):
    """Every model that a model master knows."""

    models: tuple[ModelAnswer, ...]


class MachineType(Answer):
    """A hardware profile and what a replica on it costs."""

    hardware_profile: str
    price_per_hour: float


class MachineTypeList(Answer):
    """Every hardware profile."""

    machine_types: tuple[MachineType, ...]


class AppliesTo(Answer):
    """What a price is for; null where it is the same for every deployment."""

    deployment_id: str | None = None


class GroupBy(Answer):
    """What a price depends on."""

    hardware_profile: str


class Price(Answer):
    """The price of one unit of a meter: here of one hour of one replica."""

    meter_slug: str = REPLICA_METER
    unit_price: str
    unit_price_per_hour: str
    applies_to: AppliesTo = AppliesTo()
    group_by: GroupBy


class PriceList(Answer):
    """Every price."""

    prices: tuple[Price, ...]


class HardwareList(Answer):
    """Hardware profiles that the caller may use."""

    available_hardware_profiles: tuple[str, ...]


class UserOrg(Answer):
    """The org that a request acts for."""

    org_id: str
    slug: str
    name: str
    is_personal: bool
    is_key_scoped: bool


class Org(Answer):
    """An org, which is a project; nobody has one to themselves, so none is anybody's default."""

    id: str
    slug: str
    name: str
    is_default: bool = False
    role: Literal["owner", "member"]
    billing_email: str | None = None
    created_at: datetime


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


def model_list(
    masters: Mapping[str, ModelMaster],
    profiles: Mapping[str, HardwareProfile],
    nodes: Iterable[Node],
    allocations: Iterable[Allocation],
) -> ModelList:
    """What can be deployed, by name."""
    taken, known_nodes = tuple(allocations), tuple(nodes)
    return ModelList(
        models=tuple(_model(masters[name], profiles, known_nodes, taken) for name in sorted(masters))
    )


def machine_types(profiles: Mapping[str, HardwareProfile]) -> MachineTypeList:
    """Every hardware profile, by name."""
    return MachineTypeList(
        machine_types=tuple(
            MachineType(hardware_profile=name, price_per_hour=profiles[name].price_per_hour)
            for name in sorted(profiles)
        )
    )


def prices(profiles: Mapping[str, HardwareProfile]) -> PriceList:
    """What an hour of a replica costs on each hardware profile."""
    rows = []
    for name in sorted(profiles):
        per_hour = _amount(profiles[name].price_per_hour)
        rows.append(
            Price(unit_price=per_hour, unit_price_per_hour=per_hour, group_by=GroupBy(hardware_profile=name))
        )
    return PriceList(prices=tuple(rows))


def org(project: Project, *, admin: bool) -> Org:
    """A project as an org."""
    return Org(
        id=project.project_id,
        slug=project.name,
        name=project.name,
        role="owner" if admin else "member",
        created_at=project.created_at,
    )


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


def _model(
    master: ModelMaster,
    profiles: Mapping[str, HardwareProfile],
    nodes: tuple[Node, ...],
    allocations: tuple[Allocation, ...],
) -> ModelAnswer:
    name = master.hardware_profile or DEFAULT_HARDWARE_PROFILE
    profile = profiles.get(name)
    count = max(master.gpu_count, 1)
    return ModelAnswer(
        serving_name=master.model,
        hf_model_id=master.model,
        gpu_type=gpu_type(name),
        gpu_count=count,
        price_per_hour=_amount(profile.price_per_hour * count) if profile else None,
        is_gpu_available=_room(master, profile, count, nodes, allocations) if profile else None,
        ready_timeout_s=Timeouts().initialization_seconds,
    )


def _room(
    master: ModelMaster,
    profile: HardwareProfile,
    gpu_count: int,
    nodes: tuple[Node, ...],
    allocations: tuple[Allocation, ...],
) -> bool | None:
    """Whether some node has room for one more replica of it now; None while no node is known."""
    if not nodes:
        return None
    wanted = requirement(profile, gpu_count if profile.gpu_model else 0)
    return any(
        (profile.gpu_model is None or node.gpu_model == profile.gpu_model)
        and master.runtime in node.runtimes
        and node.can_serve(master.model, master.runtime)
        and not free(node, allocations).shortages(wanted)
        for node in nodes
    )


def _amount(price: float) -> str:
    """A price as a decimal number in text, as clients that count money want it."""
    return f"{price:.6f}".rstrip("0").rstrip(".")
