"""API keys, projects and the audit for the asynchronous client. Its twin is `sync_tenancy`; they differ in the sending alone."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from hostler_client import tenancy_api
from hostler_client.jobs_api import Call, ResultT
from hostler_client.tenancy_models import (
    ApiKey,
    ApiKeyPage,
    AuditPage,
    AuditRecord,
    IssuedApiKey,
    KeyChanges,
    KeyUsageReport,
    NewApiKey,
    NewProject,
    Project,
    ProjectChanges,
    ProjectPage,
)


class AsyncPerformer(Protocol):
    """Sends a request and reads its answer: the client."""

    async def perform(self, call: Call[ResultT]) -> ResultT:
        """The answer."""
        ...


class AsyncKeys:
    """API keys: make, read, change, rotate, revoke, count."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def create(self, key: NewApiKey, *, idempotency_key: str | None = None) -> IssuedApiKey:
        """Make a key; keep its secret, nobody can read it again.

        Where no answer came in time, the request is sent again and may find that it had made the key (`Conflict`): rotate that one.
        """
        call = tenancy_api.create_key(key, idempotency_key=idempotency_key or str(uuid.uuid4()))
        return await self._client.perform(call)

    async def get(self, key_id: str) -> ApiKey:
        """One key."""
        return await self._client.perform(tenancy_api.get_key(key_id))

    async def page(
        self,
        *,
        project: str | None = None,
        status: str | None = None,
        sort: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> ApiKeyPage:
        """One page of keys; `sort` is `-created_at` or `created_at`."""
        return await self._client.perform(
            tenancy_api.keys_page(project=project, status=status, sort=sort, after=after, limit=limit)
        )

    async def list(
        self, *, project: str | None = None, status: str | None = None, sort: str | None = None
    ) -> AsyncIterator[ApiKey]:
        """All keys, newest first, page by page as they are taken."""
        after: str | None = None
        while True:
            page = await self.page(project=project, status=status, sort=sort, after=after)
            for key in page.data:
                yield key
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def rename(self, key_id: str, name: str) -> ApiKey:
        """Give an active key another name."""
        return await self.update(key_id, KeyChanges(name=name))

    async def update(self, key_id: str, changes: KeyChanges) -> ApiKey:
        """Give an active key another name or other limits."""
        return await self._client.perform(tenancy_api.update_key(key_id, changes))

    async def rotate(self, key_id: str, *, overlap_seconds: int | None = None) -> IssuedApiKey:
        """Give an active key a new secret; the present one works for an hour more, or for `overlap_seconds`."""
        return await self._client.perform(tenancy_api.rotate_key(key_id, overlap_seconds=overlap_seconds))

    async def revoke(self, key_id: str) -> ApiKey:
        """End a key; it stays readable."""
        return await self._client.perform(tenancy_api.revoke_key(key_id))

    async def usage(
        self,
        key_id: str | None = None,
        *,
        granularity: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> KeyUsageReport:
        """What a key used, or every key; by day and for the last 30 days where nothing else is said."""
        call = tenancy_api.key_usage(key_id, granularity=granularity, start=start, end=end)
        return await self._client.perform(call)


class AsyncProjects:
    """Projects: make, read, change, delete."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def create(self, project: NewProject) -> Project:
        """Make a project."""
        return await self._client.perform(tenancy_api.create_project(project))

    async def get(self, name: str) -> Project:
        """One project."""
        return await self._client.perform(tenancy_api.get_project(name))

    async def page(self, *, after: str | None = None, limit: int | None = None) -> ProjectPage:
        """One page of projects by name."""
        return await self._client.perform(tenancy_api.projects_page(after=after, limit=limit))

    async def list(self) -> AsyncIterator[Project]:
        """All projects by name, page by page as they are taken."""
        after: str | None = None
        while True:
            page = await self.page(after=after)
            for project in page.data:
                yield project
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def update(self, name: str, changes: ProjectChanges) -> Project:
        """Change a project."""
        return await self._client.perform(tenancy_api.update_project(name, changes))

    async def delete(self, name: str) -> None:
        """Take a project away that has no jobs and no working keys."""
        await self._client.perform(tenancy_api.delete_project(name))


class AsyncAudit:
    """Who did what with keys, projects, masters and profiles, and who was turned away; for admins."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def page(
        self,
        *,
        project: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> AuditPage:
        """One page, newest first, from before the sequence `before`."""
        call = tenancy_api.audit_page(project=project, action=action, before=before, limit=limit)
        return await self._client.perform(call)

    async def list(
        self, *, project: str | None = None, action: str | None = None, before: int | None = None
    ) -> AsyncIterator[AuditRecord]:
        """All of it, newest first, page by page as it is taken."""
        while True:
            page = await self.page(project=project, action=action, before=before)
            for record in page.data:
                yield record
            if not page.has_more or page.next is None:
                return
            before = page.next
