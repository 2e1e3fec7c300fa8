"""Requests about scaling and how their answers are read: the part that both clients share. No I/O."""

import json
from datetime import datetime
from urllib.parse import quote

from hostler_client.job_changes import ScalingChanges
from hostler_client.jobs_api import Call, given, reader
from hostler_client.models import Job
from hostler_client.scaling_models import DecisionPage, Simulation

_SIMULATION_SECONDS = 120.0


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


def simulate(
    job: str,
    *,
    policy: str | None = None,
    since_seconds: int | None = None,
    scaling: ScalingChanges | None = None,
    target_rps: float | None = None,
    target_latency_p95_ms: float | None = None,
    project: str | None = None,
) -> Call[Simulation]:
    """Replay a job's traffic with other settings."""
    fields = {
        "policy": policy,
        "since_seconds": since_seconds,
        "scaling": scaling.model_dump(mode="json", exclude_unset=True) if scaling else None,
        "target_rps": target_rps,
        "target_latency_p95_ms": target_latency_p95_ms,
    }
    return Call(
        "POST",
        f"{_job_path(job)}/simulate",
        reader(Simulation),
        params=given(project=project),
        headers={"Content-Type": "application/json"},
        body=json.dumps({name: value for name, value in fields.items() if value is not None}).encode(),
        timeout_seconds=_SIMULATION_SECONDS,
    )


def promote_shadow(job: str, *, revision: int | None = None) -> Call[Job]:
    """Let a job be scaled by what its shadow goes by."""
    headers = {} if revision is None else {"If-Match": f'"{revision}"'}
    return Call("POST", f"{_job_path(job)}/shadow/promote", reader(Job), headers=headers)


def _job_path(job: str) -> str:
    return f"/v1/jobs/{quote(job, safe='')}"
