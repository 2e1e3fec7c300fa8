"""The native API's routes: `/v1/jobs` and what hangs under it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from hostler_api.access import Caller, Gate, Reader, Writer
from hostler_api.documents import JobDocument, JobList, ReplicaList, WaitDocument, job_document
from hostler_api.events import EventFeed, EventPage, event_json
from hostler_api.explain import Explanation, explanation
from hostler_api.jobs import JobService
from hostler_api.patches import JobPatch
from hostler_api.problems import answered, described
from hostler_api.replica_logs import LogDocument
from hostler_api.requests import JobRequest, ScaleRequest
from hostler_api.waits import WAIT_SECONDS_MAX, JobWaits, WaitFor, is_reached
from hostler_bus.job_log import JobEntry
from hostler_contracts.replica_logs import LOG_LINES_MAX, LogQuestion
from hostler_domain.errors import FieldError, InvalidFields
from hostler_domain.phases import JobPhase

router = APIRouter(prefix="/v1", tags=["jobs"])
ACCEPTED = answered(202, "The job as it is now", "ETag", "Location")

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page; or, with `Accept: text/event-stream`, server-sent events whose ids are sequences",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


def _service(request: Request) -> JobService:
    service: JobService = request.app.state.jobs
    return service


def answer_with(entry: JobEntry, status: int) -> Response:
    """The job, with its ETag and, where something was taken on, its address."""
    headers = {"ETag": f'"{entry.seq}"'}
    if status == 202:
        headers["Location"] = f"/v1/jobs/{entry.job.job_id}"
    return Response(
        job_document(entry).model_dump_json(), status, headers=headers, media_type="application/json"
    )


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(400, 401, 403, 409, 422, 503),
)
async def create_job(
    request: Request,
    body: JobRequest,
    caller: Writer,
    idempotency_key: Annotated[
        str | None, Header(description="The same key gives the same job for 24 hours.")
    ] = None,
) -> Response:
    """Serve a model. The answer comes at once; `status.phase` tells how far it is."""
    return answer_with(await _service(request).create(caller, body, idempotency_key), 202)


@router.get("/jobs", responses=described(400, 401, 403))
async def list_jobs(
    request: Request,
    caller: Reader,
    project: str | None = None,
    phase: JobPhase | None = None,
    model: Annotated[
        str | None, Query(max_length=200, description="Only jobs that serve this model.")
    ] = None,
    label: Annotated[
        tuple[Annotated[str, Field(max_length=4300)], ...],
        Query(
            max_length=10, description="Only jobs with this label, as `name=value`; all of them, if several."
        ),
    ] = (),
    include_deleted: bool = False,
    after: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JobList:
    """Jobs that the caller may see, newest first."""
    entries, more = _service(request).list(
        caller,
        project=project,
        phase=phase,
        model=model,
        labels=_labels(label),
        include_deleted=include_deleted,
        after=after,
        limit=limit,
    )
    return JobList(
        data=tuple(job_document(entry) for entry in entries),
        has_more=more,
        next=entries[-1].job.job_id if more else None,
    )


@router.get(
    "/jobs/{job}",
    response_model=JobDocument,
    responses=answered(200, "The job", "ETag") | described(401, 403, 404),
)
async def get_job(request: Request, job: str, caller: Reader, project: str | None = None) -> Response:
    """One job, by its id or by its name in the caller's project (or in `project`)."""
    return answer_with(await _service(request).get(caller, job, project), 200)


@router.delete(
    "/jobs/{job}",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(401, 403, 404, 503),
)
async def delete_job(request: Request, job: str, caller: Writer) -> Response:
    """Take a job down with everything that belongs to it. Its history stays readable."""
    return answer_with(await _service(request).delete(caller, job), 202)


@router.patch(
    "/jobs/{job}",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(400, 401, 403, 404, 409, 412, 503),
)
async def update_job(
    request: Request,
    job: str,
    body: JobPatch,
    caller: Writer,
    if_match: Annotated[str | None, Header(description="The ETag that the change is meant for.")] = None,
) -> Response:
    """Change a job by a JSON merge patch. What replicas are made from is rolled out one by one; bounds and labels replace none."""
    return answer_with(await _service(request).update(caller, job, body, revision_of(if_match)), 202)


@router.post(
    "/jobs/{job}/stop",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(401, 403, 404, 409, 503),
)
async def stop_job(request: Request, job: str, caller: Writer) -> Response:
    """End all replicas and keep the job. Requests get 503 and do not wake it; resume does."""
    return answer_with(await _service(request).stop(caller, job), 202)


@router.post(
    "/jobs/{job}/resume",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(401, 403, 404, 409, 503),
)
async def resume_job(request: Request, job: str, caller: Writer) -> Response:
    """Start a stopped or failed job over."""
    return answer_with(await _service(request).resume(caller, job), 202)


@router.post(
    "/jobs/{job}/restart",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(400, 401, 403, 404, 409, 503),
)
async def restart_job(
    request: Request,
    job: str,
    caller: Writer,
    of_generation: Annotated[
        int | None,
        Query(ge=1, description="Only replicas up to this generation, so that asking again does nothing."),
    ] = None,
) -> Response:
    """Replace every replica, one at a time; a failed job starts over."""
    return answer_with(await _service(request).restart(caller, job, of_generation), 202)


@router.post(
    "/jobs/{job}/scale",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(400, 401, 403, 404, 409, 503),
)
async def scale_job(request: Request, job: str, body: ScaleRequest, caller: Writer) -> Response:
    """Have another number of replicas, within the job's bounds.

    A job with targets is scaled on from there as its load demands, at once or
    when `hold_seconds` are over; asking again without them ends a hold.
    """
    entry = await _service(request).scale(caller, job, body.replicas, body.hold_seconds)
    return answer_with(entry, 202)


@router.get("/jobs/{job}/replicas", responses=described(401, 403, 404))
async def list_replicas(
    request: Request, job: str, caller: Reader, project: str | None = None
) -> ReplicaList:
    """The replicas of a job: those that live, and the latest that ended."""
    entry = await _service(request).get(caller, job, project)
    return ReplicaList(data=job_document(entry).status.replicas)


@router.get("/jobs/{job}/wait", responses=described(400, 401, 403, 404, 503))
async def wait_for_job(
    request: Request,
    job: str,
    caller: Reader,
    until: Annotated[
        WaitFor, Query(alias="for", description="`ready` means at least one replica that serves.")
    ] = WaitFor.READY,
    timeout_seconds: Annotated[float, Query(ge=0, le=WAIT_SECONDS_MAX)] = 30.0,
    project: str | None = None,
) -> WaitDocument:
    """Answer when a job is as wished, can't become so any more, or the time is over; `reached` tells which. Ask again to wait on."""
    service = _service(request)
    waits: JobWaits = request.app.state.waits
    entry = await service.get(caller, job, project)
    entry = await waits.until(entry, until, timeout_seconds)
    return WaitDocument(reached=is_reached(entry.job, until), job=job_document(entry))


@router.get("/jobs/{job}/explain", responses=described(401, 403, 404, 503))
async def explain_job(request: Request, job: str, caller: Reader, project: str | None = None) -> Explanation:
    """Why a job is where it is, what each replica does, how it was last scaled, and what happens next."""
    service = _service(request)
    entry = await service.get(caller, job, project)
    return explanation(entry.job, await service.last_scaling(entry), await service.placement(entry))


@router.get("/jobs/{job}/replicas/{replica_id}/logs", responses=described(400, 401, 403, 404, 503))
async def replica_log(
    request: Request,
    job: str,
    replica_id: str,
    caller: Reader,
    project: str | None = None,
    tail: Annotated[int, Query(ge=0, le=LOG_LINES_MAX, description="How many of the last lines.")] = 200,
    after: Annotated[
        int | None,
        Query(ge=0, description="Instead: what comes behind this place, `next` of the answer before."),
    ] = None,
) -> LogDocument:
    """What a replica wrote. It stays readable for a day after the replica ended, as long as the job remembers the replica."""
    service = _service(request)
    entry = await service.get(caller, job, project)
    return await service.replica_log(entry, LogQuestion(replica_id=replica_id, tail_lines=tail, after=after))


@router.get("/jobs/{job}/events", response_model=EventPage, responses=STREAM | described(400, 401, 403, 404))
async def job_events(
    request: Request,
    job: str,
    caller: Reader,
    accept: Annotated[str, Header(include_in_schema=False)] = "application/json",
    last_event_id: Annotated[str | None, Header(description="Go on after this sequence.")] = None,
    after: Annotated[int, Query(ge=0, description="Only events with a higher sequence.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    follow: Annotated[bool, Query(description="Whether a stream goes on after the present end.")] = True,
) -> Response:
    """What happened to a job, oldest first: a page of JSON, or a stream with `Accept: text/event-stream`."""
    entry = await _service(request).get(caller, job)
    start = _sequence(last_event_id, after)
    if "text/event-stream" in accept:
        feed: EventFeed = request.app.state.feed
        gate: Gate = request.app.state.gate
        stream = _while_it_holds(gate, caller, feed.stream(entry, after_seq=start, follow=follow))
        return StreamingResponse(
            stream,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    return await _events_page(request, caller, entry, start, limit)


async def _while_it_holds(
    gate: Gate, caller: Caller, frames: AsyncGenerator[bytes, None]
) -> AsyncIterator[bytes]:
    """The frames of a stream for as long as its caller's key works."""
    async with aclosing(frames):
        async for frame in frames:
            if not gate.holds(caller):
                return
            yield frame


async def _events_page(request: Request, caller: Caller, entry: JobEntry, start: int, limit: int) -> Response:
    del caller  # admitted already; named so that no caller of this forgets to have one
    data: list[dict[str, object]] = []
    more = False
    async for seq, event in _service(request).history(entry, start):
        if len(data) == limit:
            more = True
            break
        data.append(event_json(seq, event))
    return JSONResponse({"data": data, "has_more": more, "next": data[-1]["sequence"] if more else None})


def _labels(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if any(not name or not sign for name, sign, _ in pairs):
        raise InvalidFields(FieldError("label", "must be a name and a value with = between them"))
    return {name: value for name, _, value in pairs}


def revision_of(if_match: str | None) -> int | None:
    """The revision that If-Match names; None where any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = if_match.strip()
    if not (len(tag) > 2 and tag[0] == tag[-1] == '"' and tag[1:-1].isdecimal()):
        raise InvalidFields(FieldError("If-Match", 'must be an ETag as it was given, such as "42"'))
    return int(tag[1:-1])


def _sequence(last_event_id: str | None, after: int) -> int:
    if last_event_id is None:
        return after
    if not last_event_id.isdecimal():
        raise InvalidFields(FieldError("Last-Event-ID", "must be the sequence of an event, a whole number"))
    return int(last_event_id)
