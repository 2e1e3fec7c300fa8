"""What Run:ai's clients look up before they work: a token, the cluster, projects, priorities, types and categories."""

from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Depends, Query, Request

from hostler_api.access import Gate, OpenToAll, Reader
from hostler_api.dialects.runai import ids
from hostler_api.dialects.runai.bodies import TokenBody
from hostler_api.dialects.runai.catalogue_documents import (
    CategoryAnswer,
    ClusterAnswer,
    ClusterStatus,
    PriorityAnswer,
    PriorityList,
    ProjectAnswer,
    ProjectEffective,
    ProjectList,
    ProjectResources,
    ProjectStatusAnswer,
    TokenAnswer,
    TotalResources,
    WorkloadTypeAnswer,
    WorkloadTypeList,
)
from hostler_api.dialects.runai.creation import CATEGORIES
from hostler_api.dialects.runai.documents import Count
from hostler_api.dialects.runai.listing import Value, matches, ordered, page, parsed_filters
from hostler_api.dialects.runai.shell import (
    PREFIX,
    SORT_BY,
    Limit,
    Offset,
    Search,
    Sorted,
    SortOrder,
    UuidPath,
    catalogues,
    filter_query,
    problems,
)
from hostler_api.dialects.runai.workloads import WORKLOAD_TYPE
from hostler_domain.catalogue import Project
from hostler_domain.errors import NotFound
from hostler_domain.job import DEFAULT_PROJECT
from hostler_domain.priorities import DEFAULT_PRIORITY_CLASS, PRIORITY_CLASSES

router = APIRouter(prefix=PREFIX, tags=["Run:ai: catalogues"])

SESSION_TTL_SECONDS = 3600

PriorityColumn = Literal["name", "source", "value"]
ProjectColumn = Literal[
    "name",
    "clusterId",
    "departmentId",
    "parentId",
    "parentName",
    "phase",
    "totalGpuQuota",
    "gpuAllocated",
    "createdAt",
    "avgGpuAllocation24h",
    "avgGpuAllocation30d",
    "avgGpuAllocation7d",
    "avgGpuMemoryUtilization24h",
    "avgGpuMemoryUtilization30d",
    "avgGpuMemoryUtilization7d",
    "avgGpuUtilization24h",
    "avgGpuUtilization30d",
    "avgGpuUtilization7d",
]
_PRIORITY_COLUMNS: tuple[str, ...] = get_args(PriorityColumn)
_PROJECT_COLUMNS: tuple[str, ...] = get_args(ProjectColumn)
"""Those of what is used are taken, as Run:ai documents them, and no project here has them."""
PriorityFilter = Annotated[list[str] | None, filter_query(_PRIORITY_COLUMNS)]
ProjectFilter = Annotated[list[str] | None, filter_query(_PROJECT_COLUMNS)]

_UNBOUNDED = -1.0
"""What Run:ai says where there is no bound."""


@router.post(
    "/token",
    responses=problems(400, 401, 403),
    dependencies=[Depends(OpenToAll("whoever logs in has only the key that the body holds"))],
)
async def make_token(request: Request, body: TokenBody) -> TokenAnswer:
    """Log in with an API key: `AppId` is its id, `AppSecret` the key itself. The token is good for an hour."""
    gate: Gate = request.app.state.gate
    token = gate.log_in(body.app_id, body.app_secret.get_secret_value(), SESSION_TTL_SECONDS)
    return TokenAnswer(access_token=token, expires_in=SESSION_TTL_SECONDS)


@router.get("/clusters", responses=problems(400, 401, 403))
async def list_clusters(
    request: Request,
    caller: Reader,
    verbosity: Annotated[str, Query(pattern="^(metadata|full)$")] = "full",
    include_requested_for_delete: Annotated[bool, Query(alias="includeRequestedForDelete")] = False,
) -> tuple[ClusterAnswer, ...]:
    """The installation, as one cluster."""
    del caller, verbosity, include_requested_for_delete  # there is one, and it has few words
    return (_cluster(request),)


@router.get("/clusters/{cluster_id}", responses=problems(401, 403, 404))
async def get_cluster(request: Request, cluster_id: UuidPath, caller: Reader) -> ClusterAnswer:
    """The same."""
    del caller
    if ids.canonical(cluster_id) != ids.CLUSTER_ID:
        raise NotFound(f"there is no cluster {cluster_id!r}")
    return _cluster(request)


@router.get("/org-unit/projects", responses=problems(400, 401, 403))
async def list_projects(
    request: Request,
    caller: Reader,
    filter_by: ProjectFilter = None,
    sort_by: Annotated[ProjectColumn | None, SORT_BY] = None,
    sort_order: Sorted = SortOrder.ASC,
    offset: Offset = 0,
    limit: Limit = 50,
    search: Search = None,
) -> ProjectList:
    """Projects that the caller may see."""
    filters = parsed_filters(filter_by or (), _PROJECT_COLUMNS)
    column = sort_by or "name"
    found = [
        _project(record)
        for record in catalogues(request).projects.records.values()
        if caller.sees(record.name)
    ]
    chosen = [each for each in found if matches(_columns(each), filters, search)]
    in_order = ordered(
        chosen, lambda each: _columns(each).get(column), descending=sort_order is SortOrder.DESC
    )
    items, following = page(in_order, offset, limit)
    return ProjectList(projects=items, next=following)


@router.get("/org-unit/projects/count", responses=problems(400, 401, 403))
async def count_projects(
    request: Request, caller: Reader, filter_by: ProjectFilter = None, search: Search = None
) -> Count:
    """How many there are."""
    filters = parsed_filters(filter_by or (), _PROJECT_COLUMNS)
    records = catalogues(request).projects.records.values()
    return Count(
        count=sum(
            caller.sees(each.name) and matches(_columns(_project(each)), filters, search) for each in records
        )
    )


@router.get("/org-unit/projects/{project_id}", responses=problems(401, 403, 404))
async def get_project(request: Request, project_id: UuidPath, caller: Reader) -> ProjectAnswer:
    """One project."""
    for record in catalogues(request).projects.records.values():
        if record.project_id == ids.canonical(project_id) and caller.sees(record.name):
            return _project(record)
    raise NotFound(f"there is no project {project_id!r}")


@router.get("/workload-priorities", responses=problems(400, 401, 403))
async def list_priorities(
    caller: Reader,
    sort_order: Sorted = SortOrder.ASC,
    sort_by: Annotated[PriorityColumn | None, SORT_BY] = None,
    filter_by: PriorityFilter = None,
) -> PriorityList:
    """Priority classes, from the lowest unless asked otherwise."""
    del caller
    filters = parsed_filters(filter_by or (), _PRIORITY_COLUMNS)
    chosen = [each for each in _PRIORITIES if matches(_priority_columns(each), filters, None)]
    return PriorityList(
        priorities=ordered(
            chosen,
            lambda each: _priority_columns(each)[sort_by or "value"],
            descending=sort_order is SortOrder.DESC,
        )
    )


@router.get("/workload-types", responses=problems(401, 403))
async def list_types(caller: Reader) -> WorkloadTypeList:
    """The one kind of workload that there is here."""
    del caller
    return WorkloadTypeList(types=(_TYPE,))


@router.get("/workload-types/{type_id}", responses=problems(401, 403, 404))
async def get_type(type_id: UuidPath, caller: Reader) -> WorkloadTypeAnswer:
    """The same by its id."""
    del caller
    if ids.canonical(type_id) != _TYPE.id:
        raise NotFound(f"there is no workload type {type_id!r}")
    return _TYPE


@router.get("/workload-categories", responses=problems(401, 403))
async def list_categories(caller: Reader) -> tuple[CategoryAnswer, ...]:
    """The categories that a workload may have."""
    del caller
    return _CATEGORIES


@router.get("/workload-categories/{category_id}", responses=problems(401, 403, 404))
async def get_category(category_id: UuidPath, caller: Reader) -> CategoryAnswer:
    """One of them."""
    del caller
    for each in _CATEGORIES:
        if each.id == ids.canonical(category_id):
            return each
    raise NotFound(f"there is no category {category_id!r}")


_PRIORITIES = tuple(
    PriorityAnswer(id=ids.named_id("priority", name), source="System", name=name, value=value)
    for name, value in PRIORITY_CLASSES.items()
)
_CATEGORIES = tuple(CategoryAnswer(id=ids.named_id("category", name), name=name) for name in CATEGORIES)
_TYPE = WorkloadTypeAnswer(
    id=ids.named_id("type", WORKLOAD_TYPE),
    name=WORKLOAD_TYPE,
    group="run.ai",
    category_id=_CATEGORIES[0].id,
    category_name=_CATEGORIES[0].name,
    priority_id=ids.named_id("priority", DEFAULT_PRIORITY_CLASS),
    priority_name=DEFAULT_PRIORITY_CLASS,
)


def _priority_columns(found: PriorityAnswer) -> dict[str, Value]:
    return {"name": found.name, "source": found.source, "value": float(found.value)}


def _cluster(request: Request) -> ClusterAnswer:
    found = catalogues(request)
    default = found.projects.records.get(DEFAULT_PROJECT)
    # The first record that an installation writes is its default project.
    made = default.created_at if default else min(each.created_at for each in found.keys.records.values())
    return ClusterAnswer(
        uuid=ids.CLUSTER_ID,
        tenant_id=ids.TENANT_ID,
        name=ids.CLUSTER_NAME,
        created_at=made,
        status=ClusterStatus(state="Connected" if found.nodes.records else "WaitingToConnect"),
    )


def _project(record: Project) -> ProjectAnswer:
    quota = _UNBOUNDED if record.gpu_quota is None else float(record.gpu_quota)
    limit = _UNBOUNDED if record.gpu_limit is None else float(record.gpu_limit)
    return ProjectAnswer(
        id=record.project_id,
        name=record.name,
        cluster_id=ids.CLUSTER_ID,
        parent_id=ids.DEPARTMENT_ID,
        description=record.description,
        enforce_runai_scheduler=False,
        created_at=record.created_at,
        updated_at=record.created_at,
        resources=(
            ProjectResources(
                node_pool={"id": ids.named_id("pool", ids.NODE_POOL), "name": ids.NODE_POOL},
                gpu={"deserved": quota, "maxAllowed": limit, "overQuotaWeight": None},
            ),
        ),
        total_resources=TotalResources(gpu_quota=None if record.gpu_quota is None else quota),
        effective=ProjectEffective(),
        status=ProjectStatusAnswer(namespace=record.name, phase="Ready"),
    )


def _columns(project: ProjectAnswer) -> dict[str, Value]:
    return {
        "name": project.name,
        "clusterId": project.cluster_id,
        "departmentId": project.parent_id,
        "parentId": project.parent_id,
        "parentName": ids.DEPARTMENT_NAME,
        "phase": project.status.phase,
        "totalGpuQuota": project.total_resources.gpu_quota,
        "createdAt": project.created_at,
    }
