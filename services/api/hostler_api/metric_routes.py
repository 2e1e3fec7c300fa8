"""The native route of metric history: series of a job or of one of its replicas."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request

from hostler_api.access import Reader
from hostler_api.documents import Document
from hostler_api.history.shapes import MetricHistory, SeriesName
from hostler_api.jobs import JobService
from hostler_api.moments import zoned
from hostler_api.problems import described
from hostler_domain.errors import FieldError, InvalidFields, NotFound
from hostler_kit.clock import Clock

SAMPLES_DEFAULT = 60
SAMPLES_MAX = 1000
SPAN_DEFAULT = timedelta(hours=1)

router = APIRouter(prefix="/v1", tags=["metrics"])


class SampleDocument(Document):
    """One point; `value` is null where nothing is known, which is not the same as 0."""

    at: datetime
    value: float | None


class SeriesDocument(Document):
    """One series, oldest sample first; each sample stands for the time since the one before it."""

    name: SeriesName
    samples: tuple[SampleDocument, ...]


class MetricsDocument(Document):
    """Series over a span of time. Where `complete` is false the store was away, and gaps say nothing about the job."""

    job_id: str
    replica_id: str | None
    start: datetime
    end: datetime
    complete: bool
    reason: str
    series: tuple[SeriesDocument, ...]


@router.get("/jobs/{job}/metrics", responses=described(400, 401, 403, 404))
async def job_metrics(
    request: Request,
    job: str,
    caller: Reader,
    names: Annotated[tuple[SeriesName, ...], Query(description="Which series; all by default.")] = (),
    start: Annotated[datetime | None, Query(description="An hour before the end by default.")] = None,
    end: Annotated[datetime | None, Query(description="Now by default.")] = None,
    samples: Annotated[int, Query(ge=1, le=SAMPLES_MAX)] = SAMPLES_DEFAULT,
    replica: Annotated[str | None, Query(max_length=64, description="Of this replica alone.")] = None,
    project: str | None = None,
) -> MetricsDocument:
    """What a job did over time, from the load windows of the routers: 10 s fine for 6 hours, 1 min for 7 days, 1 h for 90 days."""
    service: JobService = request.app.state.jobs
    history: MetricHistory = request.app.state.history
    clock: Clock = request.app.state.clock
    entry = await service.get(caller, job, project)
    if replica is not None and entry.job.replica(replica) is None:
        raise NotFound(f"the job has no replica {replica!r}, or none that it still remembers")
    until = zoned("end", end) or clock.now()
    since = zoned("start", start) or until - SPAN_DEFAULT
    if since >= until:
        raise InvalidFields(FieldError("start", "must be before end"))
    wanted = tuple(dict.fromkeys(names)) or tuple(SeriesName)
    found = await history.query(entry.job.job_id, replica, wanted, start=since, end=until, samples=samples)
    return MetricsDocument(
        job_id=entry.job.job_id,
        replica_id=replica,
        start=since,
        end=until,
        complete=found.complete,
        reason=found.reason,
        series=tuple(SeriesDocument.model_validate(each) for each in found.series),
    )
