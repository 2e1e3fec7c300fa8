"""`/api/v1/workloads`: the list of workloads, and what is asked of any workload."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request, Response
from pydantic import JsonValue

from hostler_api.access import Caller, Reader, Writer
from hostler_api.dialects.runai.bodies import BatchAction, BatchBody
from hostler_api.dialects.runai.documents import (
    BatchAnswer,
    BatchFailure,
    Count,
    WorkloadAnswer,
    WorkloadList,
)
from hostler_api.dialects.runai.history import event_answer, records
from hostler_api.dialects.runai.history_documents import EventList, MetricsAnswer, RecordList, TelemetryAnswer
from hostler_api.dialects.runai.listing import matches, ordered, page, parsed_filters
from hostler_api.dialects.runai.metrics import WORKLOAD_TYPES
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
    history_steps,
    jobs,
    metrics_answer,
    names,
    problems,
)
from hostler_api.dialects.runai.telemetry import GROUPS, GROUPS_MAX, TelemetryType, telemetry
from hostler_api.dialects.runai.workloads import columns, workload
from hostler_api.problem_catalogue import problem_for
from hostler_domain.errors import HostlerError
from hostler_domain.job import Job
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id

router = APIRouter(prefix=f"{PREFIX}/workloads", tags=["Run:ai: workloads"])

WorkloadColumn = Literal[
    "type",
    "name",
    "clusterId",
    "projectId",
    "projectName",
    "departmentId",
    "departmentName",
    "createdAt",
    "deletedAt",
    "submittedBy",
    "phase",
    "nodepool",
    "allocatedGPU",
    "phaseUpdatedAt",
    "category",
    "priority",
    "priorityClassName",
    "aiApplicationId",
    "aiApplicationName",
    "completedAt",
    "distributedFramework",
    "guaranteedRuntimeEndsAt",
    "idleAllocatedGpus",
    "idleGpus",
    "totalPendingTimeSeconds",
    "totalRunningTimeSeconds",
]
"""The last ones are taken, as Run:ai documents them, and no workload here has them."""
_COLUMNS: tuple[str, ...] = get_args(WorkloadColumn)
FilterBy = Annotated[list[str] | None, filter_query(_COLUMNS)]
_GROUP_BY: dict[str, JsonValue] = {"maxItems": GROUPS_MAX, "items": {"type": "string", "enum": list(GROUPS)}}


@router.get("", responses=problems(400, 401, 403, 503))
async def list_workloads(
    request: Request,
    caller: Reader,
    deleted: Deleted = False,
    offset: Offset = 0,
    limit: Limit = 50,
    sort_order: Sorted = SortOrder.ASC,
    sort_by: Annotated[WorkloadColumn | None, SORT_BY] = None,
    filter_by: FilterBy = None,
    search: Search = None,
) -> WorkloadList:
    """Workloads that the caller may see: by `sortBy`, else newest first."""
    found = _chosen(request, caller, deleted=deleted, filter_by=filter_by, search=search)
    known = names(request)
    if sort_by is not None:
        found = ordered(
            found, lambda job: columns(job, known).get(sort_by), descending=sort_order is SortOrder.DESC
        )
    # Rows are made for the page alone: there may be thousands of jobs.
    items, following = page(found, offset, limit)
    return WorkloadList(workloads=tuple(workload(job, known) for job in items), next=following)


@router.get("/count", responses=problems(400, 401, 403, 503))
async def count_workloads(
    request: Request,
    caller: Reader,
    deleted: Deleted = False,
    filter_by: FilterBy = None,
    search: Search = None,
) -> Count:
    """How many there are."""
    return Count(count=len(_chosen(request, caller, deleted=deleted, filter_by=filter_by, search=search)))


@router.get("/telemetry", responses=problems(400, 401, 403, 503))
async def get_telemetry(
    request: Request,
    caller: Reader,
    telemetry_type: Annotated[TelemetryType, Query(alias="telemetryType")],
    group_by: Annotated[list[str] | None, Query(alias="groupBy", json_schema_extra=_GROUP_BY)] = None,
    filter_by_phases: Annotated[list[str] | None, Query(alias="filterByPhases")] = None,
    cluster_id: Annotated[str | None, Query(alias="clusterId")] = None,
    department_id: Annotated[str | None, Query(alias="departmentId")] = None,
    nodepool_name: Annotated[str | None, Query(alias="nodepoolName")] = None,
) -> TelemetryAnswer:
    """How many workloads there are at this moment, or how many GPUs they hold, in groups."""
    clock: Clock = request.app.state.clock
    known = names(request)
    chosen = _chosen(request, caller, deleted=False, filter_by=None, search=None)
    rows = tuple(
        row
        for row in (workload(job, known) for job in chosen)
        if cluster_id in (None, row.cluster_id)
        and department_id in (None, row.department_id)
        and (nodepool_name is None or nodepool_name in row.current_node_pools)
    )
    return telemetry(telemetry_type, rows, _parts(group_by), _parts(filter_by_phases), now=clock.now())


@router.post("/batch", responses=problems(400, 401, 403, 503))
async def batch(request: Request, body: BatchBody, caller: Writer) -> BatchAnswer:
    """Delete, suspend or resume several workloads; with each it is tried by itself."""
    service = jobs(request)
    do = {
        BatchAction.DELETE: service.delete,
        BatchAction.SUSPEND: service.stop,
        BatchAction.RESUME: service.resume,
    }[body.action]
    succeeded: list[str] = []
    failed: list[BatchFailure] = []
    for each in body.ids:
        try:
            await do(caller, (await entry(request, caller, each)).job.job_id)
            succeeded.append(each)
        except HostlerError as error:
            failed.append(BatchFailure(id=each, code=problem_for(error).status, message=str(error)))
    return BatchAnswer(id=new_id(), succeeded=tuple(succeeded), failed=tuple(failed))


@router.get("/{workload_id}", responses=problems(401, 403, 404, 503))
async def get_workload(request: Request, workload_id: UuidPath, caller: Reader) -> WorkloadAnswer:
    """One row of the list."""
    job = (await entry(request, caller, workload_id)).job
    return workload(job, names(request))


@router.get("/{workload_id}/events", responses=problems(400, 401, 403, 404, 503))
async def get_workload_events(
    request: Request,
    workload_id: UuidPath,
    caller: Reader,
    offset: Offset = 0,
    limit: Limit = 50,
    sort_order: Sorted = SortOrder.DESC,
) -> EventList:
    """What happened to a workload, newest first."""
    found = await history_steps(request, await entry(request, caller, workload_id))
    items, following = page(found if sort_order is SortOrder.ASC else found[::-1], offset, limit)
    return EventList(events=tuple(event_answer(step) for step in items), next=following)


@router.get("/{workload_id}/history", responses=problems(400, 401, 403, 404, 503))
async def get_workload_history(
    request: Request, workload_id: UuidPath, caller: Reader, offset: Offset = 0, limit: Limit = 50
) -> RecordList:
    """The same with the phases, newest first."""
    found = await history_steps(request, await entry(request, caller, workload_id))
    items, following = page(tuple(records(found)), offset, limit)
    return RecordList(records=items, next=following)


@router.get("/{workload_id}/metrics", response_model=MetricsAnswer, responses=METRIC_ANSWERS)
async def get_workload_metrics(
    request: Request,
    workload_id: UuidPath,
    caller: Reader,
    metric_type: MetricTypes,
    start: datetime,
    end: datetime,
    number_of_samples: NumberOfSamples = 20,
) -> Response:
    """Replicas, queues and percentiles; what the machines are doing is not measured and reads null."""
    found = await entry(request, caller, workload_id)
    return await metrics_answer(
        request,
        found,
        None,
        types=metric_type,
        known=WORKLOAD_TYPES,
        start=start,
        end=end,
        samples=number_of_samples,
    )


def _chosen(
    request: Request, caller: Caller, *, deleted: bool, filter_by: list[str] | None, search: str | None
) -> tuple[Job, ...]:
    filters = parsed_filters(filter_by or (), _COLUMNS)
    known = names(request)
    found = (each.job for each in entries(request, caller) if each.job.deleted is deleted)
    return tuple(job for job in found if matches(columns(job, known), filters, search))


def _parts(given: list[str] | None) -> tuple[str, ...]:
    return tuple(part for each in given or () for part in each.split(",") if part)
