"""Which org a Lyceum request acts for: an org is a project.

A key of a project is that project's for good, as an org's key is at Lyceum; one with the scope `admin` acts for the project that
`X-Org-Slug` names, else for its own. Everything that another org has reads as absent.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from hostler_api.access import Caller, Reader, Writer
from hostler_api.catalogues import Catalogues
from hostler_api.jobs import JobService
from hostler_bus.job_log import JobEntry
from hostler_domain.errors import NotFound

OrgSlug = Annotated[
    str | None,
    Header(max_length=63, description="The org to act for; only a key with the scope `admin` has a choice."),
]


@dataclass(frozen=True, slots=True)
class OrgCaller:
    """Who asks, and for which org.

    Attributes:
        caller: The key.
        project: What the request may see and change.
    """

    caller: Caller
    project: str

    async def find(self, jobs: JobService, deployment_id: str) -> JobEntry:
        """The org's job with this id or name, a deleted one included.

        Raises:
            NotFound: the org has none.
        """
        with_other_words = NotFound(f"there is no deployment {deployment_id!r}")
        try:
            entry = await jobs.get(self.caller, deployment_id, self.project)
        except NotFound:
            raise with_other_words from None
        if entry.job.spec.project != self.project:
            raise with_other_words
        return entry


def org_of(request: Request, caller: Caller, slug: str | None) -> OrgCaller:
    """The org that the request acts for.

    Raises:
        NotFound: there is none of that name, or not for this key.
    """
    if not slug or slug == caller.key.project:
        return OrgCaller(caller, caller.key.project)
    catalogues: Catalogues = request.app.state.catalogues
    if not caller.admin or slug not in catalogues.projects.records:
        raise NotFound(f"there is no org {slug!r} for this API key")
    return OrgCaller(caller, slug)


def _reader(request: Request, caller: Reader, x_org_slug: OrgSlug = None) -> OrgCaller:
    return org_of(request, caller, x_org_slug)


def _writer(request: Request, caller: Writer, x_org_slug: OrgSlug = None) -> OrgCaller:
    return org_of(request, caller, x_org_slug)


OrgReader = Annotated[OrgCaller, Depends(_reader)]
OrgWriter = Annotated[OrgCaller, Depends(_writer)]
