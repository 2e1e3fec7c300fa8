"""Requests about API keys, projects and the audit and how their answers are read: the part that both clients share. No I/O."""

import json
from datetime import datetime
from urllib.parse import quote

from hostler_client.jobs_api import Call, given, nothing, reader
from hostler_client.tenancy_models import (
    ApiKey,
    ApiKeyPage,
    AuditPage,
    IssuedApiKey,
    KeyChanges,
    KeyUsageReport,
    NewApiKey,
    NewProject,
    Project,
    ProjectChanges,
    ProjectPage,
)

_JSON = {"Content-Type": "application/json"}


def create_key(key: NewApiKey, *, idempotency_key: str) -> Call[IssuedApiKey]:
    """Make a key. Sent again with the same idempotency key it makes no second one, and answers 409."""
    headers = _JSON | {"Idempotency-Key": idempotency_key}
    return Call("POST", "/v1/api-keys", reader(IssuedApiKey), headers=headers, body=key.body())


def get_key(key_id: str) -> Call[ApiKey]:
    """Read one key."""
    return Call("GET", _key_path(key_id), reader(ApiKey))


def keys_page(
    *,
    project: str | None = None,
    status: str | None = None,
    sort: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Call[ApiKeyPage]:
    """Read one page of keys."""
    params = given(
        project=project, status=status, sort=sort, after=after, limit=None if limit is None else str(limit)
    )
    return Call("GET", "/v1/api-keys", reader(ApiKeyPage), params=params)


def update_key(key_id: str, changes: KeyChanges) -> Call[ApiKey]:
    """Give a key another name or other limits."""
    headers = {"Content-Type": "application/merge-patch+json"}
    return Call("PATCH", _key_path(key_id), reader(ApiKey), headers=headers, body=changes.body())


def rotate_key(key_id: str, *, overlap_seconds: int | None = None) -> Call[IssuedApiKey]:
    """Give a key a new secret."""
    body = json.dumps({} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}).encode()
    return Call("POST", f"{_key_path(key_id)}/rotate", reader(IssuedApiKey), headers=_JSON, body=body)


def revoke_key(key_id: str) -> Call[ApiKey]:
    """End a key."""
    return Call("POST", f"{_key_path(key_id)}/revoke", reader(ApiKey))


def key_usage(
    key_id: str | None,
    *,
    granularity: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Call[KeyUsageReport]:
    """Read what one key used, or all."""
    params = given(
        granularity=granularity,
        start=None if start is None else start.isoformat(),
        end=None if end is None else end.isoformat(),
    )
    path = "/v1/api-keys/usage" if key_id is None else f"{_key_path(key_id)}/usage"
    return Call("GET", path, reader(KeyUsageReport), params=params)


def create_project(project: NewProject) -> Call[Project]:
    """Make a project; its name keeps a second one from being made."""
    return Call("POST", "/v1/projects", reader(Project), headers=_JSON, body=project.body())


def get_project(name: str) -> Call[Project]:
    """Read one project."""
    return Call("GET", _project_path(name), reader(Project))


def projects_page(*, after: str | None = None, limit: int | None = None) -> Call[ProjectPage]:
    """Read one page of projects."""
    params = given(after=after, limit=None if limit is None else str(limit))
    return Call("GET", "/v1/projects", reader(ProjectPage), params=params)


def update_project(name: str, changes: ProjectChanges) -> Call[Project]:
    """Change a project."""
    headers = {"Content-Type": "application/merge-patch+json"}
    return Call("PATCH", _project_path(name), reader(Project), headers=headers, body=changes.body())


def delete_project(name: str) -> Call[None]:
    """Take a project away."""
    return Call("DELETE", _project_path(name), nothing)


def audit_page(
    *,
    project: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> Call[AuditPage]:
    """Read one page of the audit."""
    params = given(
        project=project,
        action=action,
        before=None if before is None else str(before),
        limit=None if limit is None else str(limit),
    )
    return Call("GET", "/v1/audit", reader(AuditPage), params=params)


def _key_path(key_id: str) -> str:
    return f"/v1/api-keys/{quote(key_id, safe='')}"


def _project_path(name: str) -> str:
    return f"/v1/projects/{quote(name, safe='')}"
