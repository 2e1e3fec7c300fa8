"""Answers of the look-ups: a token, priorities, categories, types, the cluster, projects."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from hostler_api.dialects.runai.documents import Answer, is_none


class TokenAnswer(Answer):
    """A bearer token for an hour."""

    access_token: str
    expires_in: int


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

    next: int | None = Field(default=None, exclude_if=is_none)
    projects: tuple[ProjectAnswer, ...]
