"""Requests about scaling and how their answers are read: the part that both clients share. No I/O."""

from datetime import datetime
from urllib.parse import quote

from hostler_client.jobs_api import Call, given, reader
from hostler_client.scaling_models import DecisionPage


def decisions_page(
    job: str,
    *,
    since: datetime | None = None,
    after: int | None = None,
    limit: int | None = None,
    project: str | None = None,
) -> Call[DecisionPage]:
    """Read one page of decisions."""
    params = given(
        since=since.isoformat() if since else None,
        after=None if after is None else str(after),
        limit=None if limit is None else str(limit),
        project=project,
    )
    return Call("GET", f"{_job_path(job)}/decisions", reader(DecisionPage), params=params)


def _job_path(job: str) -> str:
    return f"/v1/jobs/{quote(job, safe='')}"
