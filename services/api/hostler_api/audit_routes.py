"""The native API's route `/v1/audit`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from hostler_api.access import AdminCaller
from hostler_api.audit import AuditLog
from hostler_api.documents import Document
from hostler_api.problems import described


class AuditDocument(Document):
    """One deed. It was written down before it was done, so a deed that failed may be among them."""

    sequence: int
    at: datetime
    action: str
    project: str | None
    actor_key_id: str | None
    target: str
    count: int
    details: Mapping[str, str]
    request_id: str | None
    source: str


class AuditList(Document):
    """One page, newest first; `next` goes into `before` for the page behind it."""

    data: tuple[AuditDocument, ...]
    has_more: bool
    next: int | None


router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("", responses=described(400, 401, 403, 503))
async def list_audit(
    request: Request,
    caller: AdminCaller,
    project: Annotated[str | None, Query(max_length=63)] = None,
    action: Annotated[str | None, Query(max_length=63, description="Such as `key.created`.")] = None,
    before: Annotated[int | None, Query(ge=1, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AuditList:
    """Who did what with keys, projects, masters and profiles, and who was turned away; newest first."""
    del caller  # an admin, or the request would not have come here
    audit: AuditLog = request.app.state.audit
    found, more = await audit.page(project=project, action=action, before=before, limit=limit)
    return AuditList(
        data=tuple(
            AuditDocument(
                sequence=seq,
                at=event.data.at,
                action=event.data.action,
                project=None if event.project.startswith("_") else event.project,
                actor_key_id=event.data.actor_key_id,
                target=event.data.target,
                count=event.data.count,
                details=event.data.details,
                request_id=event.correlationid,
                source=event.source,
            )
            for seq, event in found
        ),
        has_more=more,
        next=found[-1][0] if more else None,
    )
