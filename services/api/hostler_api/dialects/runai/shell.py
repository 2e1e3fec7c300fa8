"""What the dialect's routes share: how they find jobs and names, what can go wrong, and how queries are written."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import Path, Query, Request, Response
from pydantic.fields import FieldInfo

from hostler_api.access import Caller
from hostler_api.catalogues import Catalogues
from hostler_api.dialects.runai.documents import ErrorAnswer
from hostler_api.dialects.runai.history import Step, steps
from hostler_api.dialects.runai.history_documents import MetricsAnswer
from hostler_api.dialects.runai.ids import canonical
from hostler_api.dialects.runai.metrics import Source, as_csv, measurements, parsed_types, series_for
from hostler_api.dialects.runai.workloads import Names
from hostler_api.history.shapes import History, MetricHistory
from hostler_api.jobs import JobService
from hostler_api.moments import within_calendar
from hostler_bus.job_log import JobEntry
from hostler_domain.errors import FieldError, InvalidFields, NotFound

PREFIX = "/api/v1"
CSV = "text/csv"
_MEANINGS = {
    400: "A field is wrong or can't be had; each is named",
    401: "The token or the API key is missing or not valid",
    403: "The API key may not do this",
    404: "There is no such thing for this caller",
    409: "The present state, or a workload of the same name, does not allow it",
    503: "It can't be done right now; see Retry-After",
}

UuidPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=500)]
Search = Annotated[str | None, Query(max_length=200)]
MetricTypes = Annotated[list[str], Query(alias="metricType")]
NumberOfSamples = Annotated[int, Query(alias="numberOfSamples", ge=0, le=1000)]


class SortOrder(StrEnum):
    """Which way."""

    ASC = "asc"
    DESC = "desc"


Deleted = Annotated[bool, Query(description="True gives only what is gone.")]
SORT_BY = Query(alias="sortBy")
Sorted = Annotated[SortOrder, Query(alias="sortOrder")]


def filter_query(columns: Sequence[str]) -> FieldInfo:
    """The query parameter of filters over some columns.

    The form is only described: the client sends its list as one text with commas, which `parsed_filters` takes apart.
    """
    one = rf"({'|'.join(columns)})(==|!=|<=|>=|=@|!@|=\^|=\$)[^,]+"
    items = {"type": "string", "pattern": f"^,*({one}(,+{one})*)?,*$"}
    query: FieldInfo = Query(alias="filterBy", max_length=50, json_schema_extra={"items": items})
    return query


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """What a route may answer besides what it is for."""
    return {status: {"model": ErrorAnswer, "description": _MEANINGS[status]} for status in statuses}


METRIC_ANSWERS: dict[int | str, dict[str, object]] = {
    200: {"description": "All that was asked for", "content": {CSV: {}}},
    207: {
        "model": MetricsAnswer,
        "description": "A part: null values were not measured, or not to be had now",
    },
    **problems(400, 401, 403, 404, 503),
}


def jobs(request: Request) -> JobService:
    """The jobs."""
    service: JobService = request.app.state.jobs
    return service


def catalogues(request: Request) -> Catalogues:
    """The catalogues."""
    found: Catalogues = request.app.state.catalogues
    return found


def names(request: Request) -> Names:
    """What jobs refer to."""
    found = catalogues(request)
    return Names(found.projects.records, found.profiles.records)


async def entry(request: Request, caller: Caller, workload_id: str) -> JobEntry:
    """The job with this id; a name does not count here.

    Raises:
        NotFound: there is none, or not for this caller.
    """
    job_id = canonical(workload_id)
    found = await jobs(request).get(caller, job_id) if job_id else None
    if found is None or found.job.job_id != job_id:
        raise NotFound(f"there is no workload {workload_id!r}")
    return found


def entries(request: Request, caller: Caller) -> tuple[JobEntry, ...]:
    """Every job that the caller may see, those that are gone included, newest first."""
    found, _ = jobs(request).list(
        caller, project=None, phase=None, include_deleted=True, after=None, limit=2**31
    )
    return found


async def history_steps(request: Request, found: JobEntry) -> tuple[Step, ...]:
    """Everything that happened to a job, oldest first."""
    return steps([event async for _, event in jobs(request).history(found, 0)])


async def metrics_answer(
    request: Request,
    found: JobEntry,
    replica_id: str | None,
    *,
    types: Sequence[str],
    known: Mapping[str, tuple[Source, ...]],
    start: datetime,
    end: datetime,
    samples: int,
) -> Response:
    """Series of a job or of one of its replicas.

    Raises:
        InvalidFields: a type is not known, or the time has no length.
    """
    wanted = parsed_types(types, known)
    start, end = (_aware(within_calendar(field, each)) for field, each in (("start", start), ("end", end)))
    if start >= end:
        raise InvalidFields(FieldError("end", "must be after start"))
    store: MetricHistory = request.app.state.history
    series = series_for(wanted, known)
    answer = History(())
    if series and samples:
        answer = await store.query(
            found.job.job_id, replica_id, series, start=start, end=end, samples=samples
        )
    found_measurements, complete = measurements(wanted, known, answer, asked=bool(samples))
    if complete and CSV in request.headers.get("accept", ""):
        return Response(as_csv(found_measurements), media_type=CSV)
    body = MetricsAnswer(measurements=found_measurements).model_dump_json(by_alias=True)
    return Response(body, 200 if complete else 207, media_type="application/json")


def _aware(moment: datetime) -> datetime:
    """A moment without a time zone is one in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
