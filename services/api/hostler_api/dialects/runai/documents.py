"""Answers as Run:ai's clients read them: exact names and types, so that the client's own models take them."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hostler_api.dialects.runai.bodies import SpecBody


def is_none(value: object) -> bool:
    """Whether a field has no value, so that it is left out."""
    return value is None


class Answer(BaseModel):
    """Root of every answer."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class ComplianceIssue(Answer):
    """One field at fault, by its path in `spec`."""

    field: str
    details: str


class ErrorAnswer(Answer):
    """What went wrong."""

    code: int
    message: str
    details: str | None = Field(default=None, exclude_if=is_none)
    compliance_issues: tuple[ComplianceIssue, ...] | None = Field(default=None, exclude_if=is_none)


class Accepted(Answer):
    """It will be done."""

    code: int
    message: str


class InferenceAnswer(Answer):
    """One inference workload."""

    name: str
    requested_name: str
    workload_id: str
    project_id: str
    department_id: str
    cluster_id: str
    created_by: str
    created_at: datetime
    deleted_at: datetime | None = Field(default=None, exclude_if=is_none)
    desired_phase: str
    actual_phase: str
    spec: SpecBody


class Cores(Answer):
    """GPUs or cores."""

    request: float


class Quantity(Answer):
    """An amount of memory."""

    request: str


class RequestedResources(Answer):
    """What was asked for."""

    gpu: Cores
    cpu: Cores
    cpu_memory: Quantity


class AllocatedResources(Answer):
    """What is held."""

    gpu: float
    cpu: float
    cpu_memory: str


class RequestedPods(Answer):
    """How many replicas are wanted, and the bounds."""

    number: int
    min: int
    max: int


class ActionsSupport(Answer):
    """What can be done with it."""

    delete: bool
    suspend: bool


class ConditionAnswer(Answer):
    """One fact about it."""

    type: str
    status: str
    message: str
    reason: str
    last_transition_time: datetime


class WorkloadAnswer(Answer):
    """One row of the list of workloads."""

    tenant_id: int
    running_pods: int
    phase_updated_at: datetime
    k8s_phase_updated_at: datetime = Field(alias="k8sPhaseUpdatedAt")
    updated_at: datetime
    source: str
    deleted_at: datetime | None
    type: str
    name: str
    id: str
    priority: int
    priority_class_name: str
    submitted_by: str
    cluster_id: str
    project_name: str
    project_id: str
    department_name: str
    department_id: str
    namespace: str
    created_at: datetime
    workload_requested_resources: RequestedResources
    allocated_resources: AllocatedResources
    actions_support: ActionsSupport
    phase: str
    conditions: tuple[ConditionAnswer, ...]
    phase_message: str
    k8s_phase: str = Field(alias="k8sPhase")
    requested_pods: RequestedPods
    requested_node_pools: tuple[str, ...]
    current_node_pools: tuple[str, ...]
    images: tuple[str, ...]
    urls: tuple[str, ...]
    preemptible: bool
    environment_variables: Mapping[str, str]
    arguments: str
    phase_reason: str | None = Field(default=None, exclude_if=is_none)
    category: str


class WorkloadList(Answer):
    """A page of workloads; `next` is the offset of the page behind it."""

    next: int | None = Field(default=None, exclude_if=is_none)
    workloads: tuple[WorkloadAnswer, ...]


class Count(Answer):
    """How many there are."""

    count: int


class ContainerAnswer(Answer):
    """The runtime of a replica."""

    name: str
    image: str
    started_at: datetime | None = Field(default=None, exclude_if=is_none)


class PodAnswer(Answer):
    """One replica."""

    name: str
    priority_class_name: str
    id: str
    workload_id: str
    revision_id: str
    cluster_id: str
    project_id: str
    node_name: str
    created_at: datetime
    completed_at: datetime | None = Field(default=None, exclude_if=is_none)
    containers: tuple[ContainerAnswer, ...]
    current_node_pool: str
    requested_node_pools: tuple[str, ...]
    allocated_resources: AllocatedResources
    k8s_phase: str = Field(alias="k8sPhase")
    tenant_id: int
    k8s_phase_updated_at: datetime = Field(alias="k8sPhaseUpdatedAt")
    updated_at: datetime
    deleted_at: datetime | None = Field(default=None, exclude_if=is_none)
    project_name: str
    workload_name: str


class PodList(Answer):
    """A page of replicas."""

    next: int | None = Field(default=None, exclude_if=is_none)
    pods: tuple[PodAnswer, ...]


class BatchFailure(Answer):
    """A workload with which it could not be done."""

    id: str
    code: int
    message: str


class BatchAnswer(Answer):
    """What became of each workload."""

    id: str
    succeeded: tuple[str, ...]
    failed: tuple[BatchFailure, ...]
