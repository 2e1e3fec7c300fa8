"""Answers as Run:ai's clients read them: exact names and types, so that the client's own models take them."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hostler_api.dialects.runai.bodies import SpecBody


def _is_none(value: object) -> bool:
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
    details: str | None = Field(default=None, exclude_if=_is_none)
    compliance_issues: tuple[ComplianceIssue, ...] | None = Field(default=None, exclude_if=_is_none)


class Accepted(Answer):
    """It will be done."""

    code: int
    message: str


class TokenAnswer(Answer):
    """A bearer token for an hour."""

    access_token: str
    expires_in: int


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
    deleted_at: datetime | None = Field(default=None, exclude_if=_is_none)
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
    phase_reason: str | None = Field(default=None, exclude_if=_is_none)
    category: str


class WorkloadList(Answer):
    """A page of workloads; `next` is the offset of the page behind it."""

    next: int | None = Field(default=None, exclude_if=_is_none)
    workloads: tuple[WorkloadAnswer, ...]


class Count(Answer):
    """How many there are."""

    count: int


class ContainerAnswer(Answer):
    """The runtime of a replica."""

    name: str
    image: str
    started_at: datetime | None = Field(default=None, exclude_if=_is_none)


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
    completed_at: datetime | None = Field(default=None, exclude_if=_is_none)
    containers: tuple[ContainerAnswer, ...]
    current_node_pool: str
    requested_node_pools: tuple[str, ...]
    allocated_resources: AllocatedResources
    k8s_phase: str = Field(alias="k8sPhase")
    tenant_id: int
    k8s_phase_updated_at: datetime = Field(alias="k8sPhaseUpdatedAt")
    updated_at: datetime
    deleted_at: datetime | None = Field(default=None, exclude_if=_is_none)
    project_name: str
    workload_name: str


class PodList(Answer):
    """A page of replicas."""

    next: int | None = Field(default=None, exclude_if=_is_none)
    pods: tuple[PodAnswer, ...]


class InvolvedObject(Answer):
    """What an event is about."""

    uid: str
    kind: str
    name: str
    namespace: str


class EventAnswer(Answer):
    """Something that happened."""

    created_at: datetime
    id: str
    type: str
    cluster_id: str
    message: str
    reason: str
    source: str
    involved_object: InvolvedObject


class EventList(Answer):
    """A page of events, newest first unless asked otherwise."""

    next: int | None = Field(default=None, exclude_if=_is_none)
    events: tuple[EventAnswer, ...]


class RecordMeta(Answer):
    """When a record of the history was made, and its kind."""

    creation_timestamp: datetime
    type: str


class PhaseUpdate(Answer):
    """The phase changed."""

    phase: str
    phase_message: str


class RecordSpec(Answer):
    """Either of the two."""

    event: EventAnswer | None = Field(default=None, exclude_if=_is_none)
    phase_update: PhaseUpdate | None = Field(default=None, exclude_if=_is_none)


class RecordAnswer(Answer):
    """One record of the history."""

    meta: RecordMeta
    spec: RecordSpec


class RecordList(Answer):
    """A page of the history, newest first."""

    next: int | None = Field(default=None, exclude_if=_is_none)
    records: tuple[RecordAnswer, ...]


class RevisionAnswer(Answer):
    """What a workload was made from for some time."""

    type: str
    name: str
    id: str
    workload_id: str
    tenant_id: int
    cluster_id: str
    project_id: str
    department_id: str
    created_at: datetime
    deleted_at: datetime | None = Field(default=None, exclude_if=_is_none)
    requested_pods: RequestedPods
    requested_node_pools: tuple[str, ...]
    running_pods: int
    images: tuple[str, ...]
    environment_variables: Mapping[str, str]
    arguments: str
    phase: str
    phase_updated_at: datetime


class RevisionList(Answer):
    """All revisions of a workload, newest first."""

    revisions: tuple[RevisionAnswer, ...]


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


class MeasuredValue(Answer):
    """One point; the value is a number as text."""

    value: str
    timestamp: datetime


class Measurement(Answer):
    """One series; null values say that nothing here measures it, a missing point is a gap."""

    type: str
    labels: Mapping[str, str] | None = None
    values: tuple[MeasuredValue, ...] | None


class MetricsAnswer(Answer):
    """What was asked for."""

    measurements: tuple[Measurement, ...]


class TelemetryGroup(Answer):
    """What a value is about."""

    key: str
    value: str
    name: str | None = Field(default=None, exclude_if=_is_none)


class TelemetryValue(Answer):
    """One value."""

    value: str
    groups: tuple[TelemetryGroup, ...]


class TelemetryAnswer(Answer):
    """How things stand at this moment."""

    type: str
    timestamp: datetime
    values: tuple[TelemetryValue, ...]


class PriorityAnswer(Answer):
    """A priority class."""

    id: str
    source: str
    name: str
    value: int


class PriorityList(Answer):
    """All priority classes, from the lowest."""

    priorities: tuple[PriorityAnswer, ...]


class CategoryAnswer(Answer):
    """A category of workloads."""

    id: str
    name: str


class WorkloadTypeAnswer(Answer):
    """A kind of workload and its defaults."""

    id: str
    name: str
    group: str
    category_id: str
    category_name: str
    priority_id: str
    priority_name: str


class WorkloadTypeList(Answer):
    """All kinds of workload."""

    types: tuple[WorkloadTypeAnswer, ...]


class ClusterStatus(Answer):
    """How a cluster stands."""

    state: str


class ClusterAnswer(Answer):
    """The installation, as one cluster."""

    uuid: str
    tenant_id: int
    name: str
    created_at: datetime
    status: ClusterStatus


class ProjectResources(Answer):
    """A project's share of one pool of machines."""

    node_pool: Mapping[str, str]
    gpu: Mapping[str, float | None]


class TotalResources(Answer):
    """A project's share of everything."""

    gpu_quota: float | None


class ProjectStatusAnswer(Answer):
    """How a project stands."""

    namespace: str
    phase: str


class ProjectEffective(Answer):
    """What holds for a project: nothing but its own."""

    default_node_pools: tuple[str, ...] = ()


class ProjectAnswer(Answer):
    """One project."""

    id: str
    name: str
    cluster_id: str
    parent_id: str
    description: str
    enforce_runai_scheduler: bool
    created_at: datetime
    updated_at: datetime
    resources: tuple[ProjectResources, ...]
    total_resources: TotalResources
    effective: ProjectEffective
    status: ProjectStatusAnswer


class ProjectList(Answer):
    """A page of projects."""

    next: int | None = Field(default=None, exclude_if=_is_none)
    projects: tuple[ProjectAnswer, ...]
