"""What can be done with projects, apart from HTTP: make, list, change, delete.

Quota and limit are kept here and shown; the scheduler does not hold anyone to them yet. Every change is on the audit first.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from hostler_api.access import Caller
from hostler_api.audit import AuditLog
from hostler_api.catalogues import Catalogues
from hostler_api.key_rules import KeyStatus, families
from hostler_bus.errors import RevisionConflict
from hostler_bus.port import Bus, Entry
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.catalogue import PROJECTS
from hostler_domain.catalogue import Project
from hostler_domain.errors import Conflict, InvalidFields, NotFound, TemporaryError
from hostler_domain.job import DEFAULT_PROJECT
from hostler_domain.limits import Limits, limits_text, merged_limits
from hostler_domain.project_rules import project_errors
from hostler_domain.spec_rules import PROJECT_NAME
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id

_RACES_MAX: Final = 20


class ProjectService:
    """Commands and queries on projects."""

    def __init__(
        self, bus: Bus, catalogues: Catalogues, jobs: JobProjection, audit: AuditLog, clock: Clock
    ) -> None:
        self._bucket = bus.bucket(subjects.BUCKET_PROJECTS)
        self._projects = catalogues.projects
        self._keys = catalogues.keys
        self._jobs = jobs
        self._audit = audit
        self._clock = clock

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        description: str,
        gpu_quota: int | None,
        gpu_limit: int | None,
        limits: Limits | None = None,
    ) -> Project:
        """Make a project.

        Raises:
            InvalidFields: it makes no sense.
            Conflict: there is one of that name.
        """
        project = Project(name, new_id(), self._clock.now(), description, gpu_quota, gpu_limit, limits)
        if errors := list(project_errors(project)):
            raise InvalidFields(*errors)
        taken = Conflict(f"there is a project {name!r} already")
        if await self._bucket.get(name) is not None:
            raise taken
        await self._audit.record(
            caller, "project.created", project=name, target=name, details=_details(project)
        )
        try:
            revision = await self._bucket.create(name, PROJECTS.encode(project))
        except RevisionConflict:
            raise taken from None
        self._projects.apply(name, project, revision)
        return project

    def get(self, caller: Caller, name: str) -> Project:
        """One project.

        Raises:
            NotFound: there is none, or not for this caller.
        """
        project = self._projects.records.get(name)
        if project is None or not caller.sees(name):
            raise NotFound("there is no such project")
        return project

    def list(self, caller: Caller, *, after: str | None, limit: int) -> tuple[tuple[Project, ...], bool]:
        """One page of projects by name, and whether there are more."""
        found = sorted(
            (each for name, each in self._projects.records.items() if caller.sees(name)),
            key=lambda each: each.name,
        )
        if after is not None:
            found = [each for each in found if each.name > after]
        return tuple(found[:limit]), len(found) > limit

    async def update(self, caller: Caller, name: str, change: Callable[[Project], Project]) -> Project:
        """Change a project.

        Raises:
            NotFound: there is none.
            InvalidFields: it can't be like that.
        """
        for _ in range(_RACES_MAX):
            entry = await self._stored(name)
            present = PROJECTS.decode(entry.value)
            changed = change(present)
            if errors := list(project_errors(changed)):
                raise InvalidFields(*errors)
            if changed == present:
                return present
            await self._audit.record(
                caller, "project.updated", project=name, target=name, details=_details(changed)
            )
            try:
                revision = await self._bucket.update(name, PROJECTS.encode(changed), revision=entry.revision)
            except RevisionConflict:
                continue
            self._projects.apply(name, changed, revision)
            return changed
        raise TemporaryError("the project is being changed by others all the time; try again")

    async def delete(self, caller: Caller, name: str) -> None:
        """Take a project away that nothing belongs to any more.

        A job that is created in the same moment at another api may outlive its project; an admin still sees it.

        Raises:
            NotFound: there is none.
            Conflict: jobs live in it, keys of it work, or it is the one where jobs go that name none.
        """
        if name == DEFAULT_PROJECT:
            raise Conflict("jobs that name no project go here, so it stays")
        entry = await self._stored(name)
        jobs = sum(
            each.job.spec.project == name and not each.job.deleted for each in self._jobs.jobs.values()
        )
        own = families(each for each in self._keys.records.values() if each.project == name)
        keys = sum(each.status(self._clock.now()) is KeyStatus.ACTIVE for each in own.values())
        if jobs or keys:
            raise Conflict(
                f"the project has {jobs} jobs and {keys} active API keys; delete and revoke them first"
            )
        await self._audit.record(caller, "project.deleted", project=name, target=name)
        try:
            await self._bucket.delete(name, revision=entry.revision)
        except RevisionConflict:
            raise Conflict("the project was changed in this moment; read it again") from None
        self._projects.remove(name)

    async def _stored(self, name: str) -> Entry:
        entry = await self._bucket.get(name) if PROJECT_NAME.fullmatch(name) else None
        if entry is None:
            raise NotFound("there is no such project")
        return entry


def with_limits(project: Project, changes: Mapping[str, int | None] | None) -> Project:
    """`project` with some of its limits replaced; None takes all of them away."""
    return replace(project, limits=merged_limits(project.limits, changes))


def with_changes(project: Project, fields: dict[str, object]) -> Project:
    """`project` with some of `description`, `gpu_quota` and `gpu_limit` replaced."""
    description = fields.get("description", project.description)
    quota = fields.get("gpu_quota", project.gpu_quota)
    limit = fields.get("gpu_limit", project.gpu_limit)
    return replace(
        project,
        description=description if isinstance(description, str) else "",
        gpu_quota=quota if isinstance(quota, int) else None,
        gpu_limit=limit if isinstance(limit, int) else None,
    )


def _details(project: Project) -> dict[str, str]:
    return {
        "gpu_quota": str(project.gpu_quota),
        "gpu_limit": str(project.gpu_limit),
        "limits": limits_text(project.limits),
    }
