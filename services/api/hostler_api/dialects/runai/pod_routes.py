"""Replicas as Run:ai's pods: of every workload, of one, and what they measured."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request, Response

from hostler_api.access import Caller, Reader
from hostler_api.dialects.runai.documents import Count, PodAnswer, PodList
from hostler_api.dialects.runai.history_documents import MetricsAnswer
from hostler_api.dialects.runai.listing import Value, matches, ordered, page, parsed_filters
from hostler_api.dialects.runai.metrics import POD_TYPES
from hostler_api.dialects.runai.pods import pod
from hostler_api.dialects.runai.shell import (
    METRIC_ANSWERS,
    PREFIX,
    SORT_BY,
    Deleted,
    Limit,
    MetricTypes,
    NumberOfSamples,
    Offset,
    Search,
    Sorted,
    SortOrder,
    UuidPath,
    entries,
    entry,
    filter_query,
    metrics_answer,
    names,
    problems,
)
from hostler_domain.errors import NotFound

router = APIRouter(prefix=f"{PREFIX}/workloads", tags=["Run:ai: pods"])
PodColumn = Literal[
    "clusterId",
    "workloadId",
    "revisionId",
    "nodeName",
    "currentNodepool",
    "createdAt",
    "completedAt",
    "deletedAt",
]
_POD_COLUMNS: tuple[str, ...] = get_args(PodColumn)
FilterBy = Annotated[list[str] | None, filter_query(_POD_COLUMNS)]


@router.get("/pods", responses=problems(400, 401, 403, 503))
async def list_pods(
    request: Request,
    caller: Reader,
    deleted: Deleted = False,
    offset: Offset = 0,
    limit: Limit = 50,
    sort_order: Sorted = SortOrder.ASC,
    sort_by: Annotated[PodColumn | None, SORT_BY] = None,
    filter_by: FilterBy = None,
    completed: Annotated[str, Query(pattern="^(true|false|all|)$")] = "all",
    search: Search = None,
) -> PodList:
    """Replicas of every workload that the caller may see."""
    found = _chosen_pods(request, caller, deleted=deleted, filter_by=filter_by, search=search)
    if completed in ("true", "false"):
        found = tuple(each for each in found if (each.completed_at is not None) is (completed == "true"))
    if sort_by is not None:
        found = ordered(
            found, lambda each: _pod_columns(each)[sort_by], descending=sort_order is SortOrder.DESC
        )
    items, following = page(found, offset, limit)
    return PodList(pods=items, next=following)


@router.get("/pods/count", responses=problems(400, 401, 403, 503))
async def count_pods(
    request: Request,
    caller: Reader,
    deleted: Deleted = False,
    filter_by: FilterBy = None,
    search: Search = None,
) -> Count:
    """How many replicas there are."""
    return Count(
        count=len(_chosen_pods(request, caller, deleted=deleted, filter_by=filter_by, search=search))
    )


@router.get("/{workload_id}/pods", responses=problems(400, 401, 403, 404, 503))
async def get_workload_pods(
    request: Request,
    workload_id: UuidPath,
    caller: Reader,
    deleted: Deleted = False,
    offset: Offset = 0,
    limit: Limit = 50,
    search: Search = None,
) -> PodList:
    """The replicas of a workload: those that live, or with `deleted` the latest that have ended."""
    job = (await entry(request, caller, workload_id)).job
    found = [pod(job, each, names(request)) for each in job.replicas if each.ended is deleted]
    items, following = page(
        [each for each in found if matches(_pod_columns(each), (), search)], offset, limit
    )
    return PodList(pods=items, next=following)


@router.get("/{workload_id}/pods/{pod_id}/metrics", response_model=MetricsAnswer, responses=METRIC_ANSWERS)
async def get_workload_pod_metrics(
    request: Request,
    workload_id: UuidPath,
    pod_id: UuidPath,
    caller: Reader,
    metric_type: MetricTypes,
    start: datetime,
    end: datetime,
    number_of_samples: NumberOfSamples = 20,
) -> Response:
    """The same of one replica."""
    found = await entry(request, caller, workload_id)
    if found.job.replica(pod_id) is None:
        raise NotFound(f"the workload has no pod {pod_id!r}")
    return await metrics_answer(
        request,
        found,
        pod_id,
        types=metric_type,
        known=POD_TYPES,
        start=start,
        end=end,
        samples=number_of_samples,
    )


def _chosen_pods(
    request: Request, caller: Caller, *, deleted: bool, filter_by: list[str] | None, search: str | None
) -> tuple[PodAnswer, ...]:
    filters = parsed_filters(filter_by or (), _POD_COLUMNS)
    known = names(request)
    found = (
        pod(each.job, replica, known)
        for each in entries(request, caller)
        for replica in each.job.replicas
        if replica.ended is deleted
    )
    return tuple(each for each in found if matches(_pod_columns(each), filters, search))


def _pod_columns(found: PodAnswer) -> Mapping[str, Value]:
    return {
        "clusterId": found.cluster_id,
        "workloadId": found.workload_id,
        "revisionId": found.revision_id,
        "nodeName": found.node_name,
        "currentNodepool": found.current_node_pool,
        "createdAt": found.created_at,
        "completedAt": found.completed_at,
        "deletedAt": found.deleted_at,
        "name": found.name,
    }
