"""Routes for deployments: create, list, get, stop, logs of a replica, and what can be deployed."""

from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request

from hostler_api.catalogues import Catalogues
from hostler_api.dialects.lyceum.documents import (
    Begun,
    Deployment,
    DeploymentList,
    ReplicaLogsAnswer,
    begun,
    deployment,
    summary,
)
from hostler_api.dialects.lyceum.offers import ModelList, model_list
from hostler_api.dialects.lyceum.org import OrgReader, OrgWriter
from hostler_api.dialects.lyceum.refusals import refusals
from hostler_api.dialects.lyceum.requests import CreateBody, StopBody, job_request
from hostler_api.dialects.lyceum.words import terminated
from hostler_api.jobs import JobService
from hostler_contracts.replica_logs import LogQuestion
from hostler_domain.errors import NotFound

TAIL_LINES: Final = 200
_ALL: Final = 1_000_000
"""Lyceum's list has no pages."""

router = APIRouter(prefix="/inference", tags=["lyceum: deployments"])

DeploymentId = Annotated[str, Query(min_length=1, max_length=200)]
IncludeTerminated = Annotated[bool, Query(description="Also those that were stopped.")]


def _jobs(request: Request) -> JobService:
    service: JobService = request.app.state.jobs
    return service


def _catalogues(request: Request) -> Catalogues:
    catalogues: Catalogues = request.app.state.catalogues
    return catalogues


@router.post("/create", responses=refusals(409, 503))
async def create_deployment(
    request: Request,
    body: CreateBody,
    org: OrgWriter,
    idempotency_key: Annotated[
        str | None, Header(description="The same key gives the same deployment for 24 hours.")
    ] = None,
) -> Begun:
    """Serve a model. The answer comes at once; `get` tells how far it is."""
    catalogues = _catalogues(request)
    wanted = job_request(
        body,
        project=org.project,
        master=catalogues.masters.records.get(body.hf_model_id),
        profiles=catalogues.profiles.records,
    )
    entry = await _jobs(request).create(org.caller, wanted, idempotency_key)
    return begun(entry.job)


@router.get("/list", responses=refusals())
async def list_deployments(
    request: Request, org: OrgReader, include_terminated: IncludeTerminated = False
) -> DeploymentList:
    """Every deployment of the org, newest first."""
    entries, _ = _jobs(request).list(
        org.caller,
        project=org.project,
        phase=None,
        include_deleted=include_terminated,
        after=None,
        limit=_ALL,
    )
    return DeploymentList(
        deployments=tuple(
            summary(entry.job) for entry in entries if include_terminated or not terminated(entry.job)
        )
    )


@router.get("/get", responses=refusals())
async def get_deployment(
    request: Request,
    org: OrgReader,
    deployment_id: DeploymentId,
    include_terminated: IncludeTerminated = False,
) -> Deployment:
    """One deployment and its replicas."""
    job = (await org.find(_jobs(request), deployment_id)).job
    if terminated(job) and not include_terminated:
        raise NotFound(f"the deployment {deployment_id!r} was stopped; ask with include_terminated")
    return deployment(job)


@router.delete("/stop", responses=refusals(503))
async def stop_deployment(request: Request, body: StopBody, org: OrgWriter) -> Begun:
    """End a deployment for good; what happened to it stays readable."""
    found = await org.find(_jobs(request), body.deployment_id)
    return begun((await _jobs(request).delete(org.caller, found.job.job_id)).job)


@router.get("/replica/{replica_id}/logs", responses=refusals(503))
async def replica_logs(request: Request, replica_id: str, org: OrgReader) -> ReplicaLogsAnswer:
    """The last lines that a replica wrote."""
    entry = _jobs(request).with_replica(replica_id)
    if entry is None or entry.job.spec.project != org.project:
        raise NotFound(f"there is no replica {replica_id!r}")
    question = LogQuestion(replica_id=replica_id, tail_lines=TAIL_LINES)
    return ReplicaLogsAnswer(error_logs=(await _jobs(request).replica_log(entry, question)).text)


@router.get("/models", responses=refusals())
async def list_models(request: Request, org: OrgReader) -> ModelList:
    """What can be deployed, on the hardware that is recommended for it."""
    del org  # the same for every org
    catalogues = _catalogues(request)
    return model_list(
        catalogues.masters.records,
        catalogues.profiles.records,
        catalogues.nodes.records.values(),
        _jobs(request).allocations(),
    )
