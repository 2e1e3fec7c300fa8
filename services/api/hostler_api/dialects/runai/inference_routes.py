"""`/api/v1/workloads/inferences`: inference workloads, their metrics and their revisions."""

from datetime import datetime

from fastapi import APIRouter, Request, Response

from hostler_api.access import Caller, Reader, Writer
from hostler_api.dialects.runai import ids
from hostler_api.dialects.runai.bodies import CreationBody, UpdateBody
from hostler_api.dialects.runai.creation import SUFFIX_LENGTH, Surroundings, job_request
from hostler_api.dialects.runai.documents import Accepted, Count, InferenceAnswer, PodList
from hostler_api.dialects.runai.history import Step, event_answer, records, revisions
from hostler_api.dialects.runai.history_documents import (
    EventList,
    MetricsAnswer,
    RecordList,
    RevisionAnswer,
    RevisionList,
)
from hostler_api.dialects.runai.listing import page
from hostler_api.dialects.runai.metrics import INFERENCE_TYPES
from hostler_api.dialects.runai.pods import pod
from hostler_api.dialects.runai.shell import (
    METRIC_ANSWERS,
    PREFIX,
    Deleted,
    Limit,
    MetricTypes,
    NumberOfSamples,
    Offset,
    Sorted,
    SortOrder,
    UuidPath,
    catalogues,
    entry,
    history_steps,
    jobs,
    metrics_answer,
    names,
    problems,
)
from hostler_api.dialects.runai.updates import job_patch
from hostler_api.dialects.runai.workloads import inference
from hostler_bus.job_log import JobEntry
from hostler_domain.errors import NotFound
from hostler_kit.ids import new_id

router = APIRouter(prefix=f"{PREFIX}/workloads/inferences", tags=["Run:ai: inferences"])


@router.post(
    "", status_code=202, response_model_exclude_none=True, responses=problems(400, 401, 403, 409, 503)
)
async def create_inference(request: Request, body: CreationBody, caller: Writer) -> InferenceAnswer:
    """Serve a model. Run:ai has no field for the model: `--model M` in args, a label or the environment names it."""
    known = catalogues(request)
    projects = frozenset(
        {caller.key.project, *(name for name in known.projects.records if caller.sees(name))}
    )
    around = Surroundings(known.masters.records, known.profiles.records, projects, known.projects.records)
    wanted = job_request(body, around, suffix=new_id()[-SUFFIX_LENGTH:])
    made = await jobs(request).create(caller, wanted, None)
    return inference(made.job, names(request))


@router.get("/{workload_id}", response_model_exclude_none=True, responses=problems(401, 403, 404, 503))
async def get_inference(request: Request, workload_id: UuidPath, caller: Reader) -> InferenceAnswer:
    """One inference workload."""
    return inference((await entry(request, caller, workload_id)).job, names(request))


@router.delete("/{workload_id}", status_code=202, responses=problems(401, 403, 404, 503))
async def delete_inference(request: Request, workload_id: UuidPath, caller: Writer) -> Accepted:
    """Take a workload down with everything that belongs to it."""
    found = await entry(request, caller, workload_id)
    await jobs(request).delete(caller, found.job.job_id)
    return Accepted(code=202, message=f"the workload {found.job.spec.name} is being deleted")


@router.patch(
    "/{workload_id}",
    status_code=202,
    response_model_exclude_none=True,
    responses=problems(400, 401, 403, 404, 409, 503),
)
async def update_inference(
    request: Request, workload_id: UuidPath, body: UpdateBody, caller: Writer
) -> InferenceAnswer:
    """Change a workload. What its replicas are made from is rolled out one by one; bounds replace none."""
    found = await entry(request, caller, workload_id)
    if body.spec is not None:
        patch = job_patch(found.job, body.spec, catalogues(request).profiles.records)
        found = await jobs(request).update(caller, found.job.job_id, patch, None)
    return inference(found.job, names(request))


@router.get("/{workload_id}/metrics", response_model=MetricsAnswer, responses=METRIC_ANSWERS)
async def get_inference_metrics(
    request: Request,
    workload_id: UuidPath,
    caller: Reader,
    metric_type: MetricTypes,
    start: datetime,
    end: datetime,
    number_of_samples: NumberOfSamples = 20,
) -> Response:
    """THROUGHPUT in requests per second, LATENCY in milliseconds (95th percentile)."""
    found = await entry(request, caller, workload_id)
    return await metrics_answer(
        request,
        found,
        None,
        types=metric_type,
        known=INFERENCE_TYPES,
        start=start,
        end=end,
        samples=number_of_samples,
    )


@router.get("/{workload_id}/pods/{pod_id}/metrics", response_model=MetricsAnswer, responses=METRIC_ANSWERS)
async def get_inference_pod_metrics(
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
        known=INFERENCE_TYPES,
        start=start,
        end=end,
        samples=number_of_samples,
    )


@router.get("/revisions/{revision_id}", responses=problems(401, 403, 404, 503))
async def get_revision(request: Request, revision_id: UuidPath, caller: Reader) -> RevisionAnswer:
    """One revision."""
    found, generation = await _revised(request, caller, revision_id)
    for each in revisions(await history_steps(request, found), names(request)):
        if each.id == ids.revision_id(found.job.job_id, generation):
            return each
    raise NotFound(f"there is no revision {revision_id!r}")


@router.get("/revisions/{revision_id}/pods", responses=problems(400, 401, 403, 404, 503))
async def get_revision_pods(
    request: Request, revision_id: UuidPath, caller: Reader, deleted: Deleted = False
) -> PodList:
    """The replicas that were made from a revision."""
    found, generation = await _revised(request, caller, revision_id)
    return PodList(
        pods=tuple(
            pod(found.job, replica, names(request))
            for replica in found.job.replicas
            if replica.generation == generation and replica.ended is deleted
        )
    )


@router.get("/revisions/{revision_id}/events", responses=problems(400, 401, 403, 404, 503))
async def get_revision_events(
    request: Request,
    revision_id: UuidPath,
    caller: Reader,
    offset: Offset = 0,
    limit: Limit = 50,
    sort_order: Sorted = SortOrder.DESC,
) -> EventList:
    """What happened to a revision and its replicas, newest first."""
    chosen = await _revision_steps(request, revision_id, caller)
    items, following = page(chosen if sort_order is SortOrder.ASC else chosen[::-1], offset, limit)
    return EventList(events=tuple(event_answer(step) for step in items), next=following)


@router.get("/revisions/{revision_id}/history", responses=problems(400, 401, 403, 404, 503))
async def get_revision_history(
    request: Request, revision_id: UuidPath, caller: Reader, offset: Offset = 0, limit: Limit = 50
) -> RecordList:
    """The same with the phases, newest first."""
    chosen = await _revision_steps(request, revision_id, caller)
    items, following = page(tuple(records(chosen)), offset, limit)
    return RecordList(records=items, next=following)


@router.get("/{workload_id}/revisions", responses=problems(400, 401, 403, 404, 503))
async def get_revisions(
    request: Request, workload_id: UuidPath, caller: Reader, deleted: Deleted = False
) -> RevisionList:
    """What a workload was made from over time, newest first."""
    return RevisionList(revisions=await _revisions(request, workload_id, caller, deleted=deleted))


@router.get("/{workload_id}/revisions/count", responses=problems(400, 401, 403, 404, 503))
async def count_revisions(
    request: Request, workload_id: UuidPath, caller: Reader, deleted: Deleted = False
) -> Count:
    """How many revisions there are."""
    return Count(count=len(await _revisions(request, workload_id, caller, deleted=deleted)))


async def _revisions(
    request: Request, workload_id: str, caller: Caller, *, deleted: bool
) -> tuple[RevisionAnswer, ...]:
    found = await entry(request, caller, workload_id)
    every = revisions(await history_steps(request, found), names(request))
    return tuple(each for each in every if (each.deleted_at is not None) is deleted)


async def _revision_steps(request: Request, revision_id: str, caller: Caller) -> tuple[Step, ...]:
    found, generation = await _revised(request, caller, revision_id)
    return tuple(step for step in await history_steps(request, found) if step.generation == generation)


async def _revised(request: Request, caller: Caller, revision_id: str) -> tuple[JobEntry, int]:
    """The job of a revision, and which generation of it is meant."""
    wanted = ids.canonical(revision_id)
    service = jobs(request)
    for generation, job_id in ids.revised_job_ids(wanted) if wanted else ():
        found = service.known(caller, job_id)
        if found is not None and generation <= found.job.generation:
            return found, generation
    raise NotFound(f"there is no revision {revision_id!r}")
