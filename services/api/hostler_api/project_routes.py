"""The native API's routes under `/v1/projects`."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from hostler_api.access import AdminCaller, Reader
from hostler_api.documents import Document
from hostler_api.limit_bodies import LimitsRequest
from hostler_api.numbers import Whole
from hostler_api.problems import answered, described
from hostler_api.projects import ProjectService, with_changes, with_limits
from hostler_api.request_body import RequestBody
from hostler_domain.catalogue import Project
from hostler_domain.limits import Limits
from hostler_domain.project_rules import DESCRIPTION_LENGTH_MAX


class NewProjectRequest(RequestBody):
    """A project to make. Quota and limit count GPUs; null is no bound."""

    name: str = Field(max_length=63, examples=["team-a"])
    description: str = Field(default="", max_length=DESCRIPTION_LENGTH_MAX)
    gpu_quota: Whole | None = None
    gpu_limit: Whole | None = None
    limits: LimitsRequest | None = Field(
        default=None, description="How much inference all of its keys together may use."
    )


class ProjectPatch(RequestBody):
    """What shall be different; null takes a bound, all limits or the description away."""

    description: str | None = Field(default=None, max_length=DESCRIPTION_LENGTH_MAX)
    gpu_quota: Whole | None = None
    gpu_limit: Whole | None = None
    limits: LimitsRequest | None = None


class ProjectDocument(Document):
    """A project."""

    name: str
    project_id: str
    description: str
    gpu_quota: int | None
    gpu_limit: int | None
    limits: Limits | None
    created_at: datetime


class ProjectList(Document):
    """One page of projects by name; `next` goes into `after` for the page behind it."""

    data: tuple[ProjectDocument, ...]
    has_more: bool
    next: str | None


router = APIRouter(prefix="/v1/projects", tags=["projects"])


@router.post(
    "",
    status_code=201,
    responses=answered(201, "The project", "Location") | described(400, 401, 403, 409, 503),
)
async def create_project(
    request: Request, response: Response, body: NewProjectRequest, caller: AdminCaller
) -> ProjectDocument:
    """Make a project."""
    project = await _service(request).create(
        caller,
        name=body.name,
        description=body.description,
        gpu_quota=body.gpu_quota,
        gpu_limit=body.gpu_limit,
        limits=body.limits.limits() if body.limits else None,
    )
    response.headers["Location"] = f"/v1/projects/{project.name}"
    return ProjectDocument.model_validate(project)


@router.get("", responses=described(400, 401, 403))
async def list_projects(
    request: Request,
    caller: Reader,
    after: Annotated[str | None, Query(max_length=63, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> ProjectList:
    """The caller's own project; all of them for an admin."""
    found, more = _service(request).list(caller, after=after, limit=limit)
    return ProjectList(
        data=tuple(ProjectDocument.model_validate(each) for each in found),
        has_more=more,
        next=found[-1].name if more else None,
    )


@router.get("/{name}", responses=described(401, 403, 404))
async def get_project(request: Request, name: str, caller: Reader) -> ProjectDocument:
    """One project."""
    return ProjectDocument.model_validate(_service(request).get(caller, name))


@router.patch("/{name}", responses=described(400, 401, 403, 404, 503))
async def update_project(
    request: Request, name: str, body: ProjectPatch, caller: AdminCaller
) -> ProjectDocument:
    """Change a project by a JSON merge patch."""
    fields = body.model_dump(exclude_unset=True, exclude={"limits"})

    def change(present: Project) -> Project:
        changed = with_changes(present, fields)
        if "limits" not in body.model_fields_set:
            return changed
        return with_limits(changed, body.limits.changes() if body.limits else None)

    return ProjectDocument.model_validate(await _service(request).update(caller, name, change))


@router.delete("/{name}", status_code=204, responses=described(401, 403, 404, 409, 503))
async def delete_project(request: Request, name: str, caller: AdminCaller) -> None:
    """Take a project away that has no jobs and no working keys any more."""
    await _service(request).delete(caller, name)


def _service(request: Request) -> ProjectService:
    service: ProjectService = request.app.state.projects
    return service
