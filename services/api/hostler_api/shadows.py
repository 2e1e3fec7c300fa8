"""The route that makes a job's shadow policy its own: `/v1/jobs/{job}/shadow/promote`. A shadow is set and taken away as any field of `scaling`."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from hostler_api.access import Writer
from hostler_api.documents import JobDocument
from hostler_api.jobs import JobService
from hostler_api.patches import JobPatch
from hostler_api.problems import described
from hostler_api.routes import ACCEPTED, answer_with, revision_of
from hostler_domain.errors import Conflict

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.post(
    "/jobs/{job}/shadow/promote",
    status_code=202,
    response_model=JobDocument,
    responses=ACCEPTED | described(400, 401, 403, 404, 409, 412, 503),
)
async def promote_shadow(
    request: Request,
    job: str,
    caller: Writer,
    if_match: Annotated[str | None, Header(description="The ETag that the change is meant for.")] = None,
) -> Response:
    """Let a job be scaled by what its shadow policy goes by, from its next decision on; no replica is replaced for that."""
    service: JobService = request.app.state.jobs
    entry = await service.get(caller, job)
    promoted = entry.job.spec.scaling.promoted
    if promoted is None:
        raise Conflict(f"job {entry.job.job_id} has no shadow policy")
    targets = [
        {"metric": each.metric, "threshold": each.threshold, "percentage": each.percentage}
        for each in promoted.targets
    ]
    patch = JobPatch.model_validate(
        {
            "scaling": {
                "targets": targets,
                "stabilisation_window_seconds": promoted.stabilisation_window_seconds,
                "mode": promoted.mode,
                "shadow": None,
            }
        }
    )
    # What is promoted is the shadow that was read: whoever changes the job meanwhile is asked again.
    revision = revision_of(if_match)
    return answer_with(
        await service.update(caller, job, patch, entry.seq if revision is None else revision), 202
    )
