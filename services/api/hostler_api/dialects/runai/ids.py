"""Ids that Run:ai's clients expect and Hostler has no record for: made from names, so that they never change.

One installation is one cluster, one tenant and one department to them.
"""

from collections.abc import Iterator, Mapping
from uuid import UUID, uuid5

from hostler_domain.catalogue import Project

_NAMESPACE = UUID("6a1f0f3e-5d0c-5c0b-9c6b-1f1d1f3f9a10")

CLUSTER_NAME = "hostler"
CLUSTER_ID = str(uuid5(_NAMESPACE, f"cluster:{CLUSTER_NAME}"))
ANY_CLUSTER_ID = str(UUID(int=0))
"""What clients send that know of one cluster only."""
DEPARTMENT_NAME = "default"
DEPARTMENT_ID = str(uuid5(_NAMESPACE, f"department:{DEPARTMENT_NAME}"))
TENANT_ID = 1
NODE_POOL = "default"
"""The pool that Run:ai makes by itself: here it means any machine that fits."""

GENERATIONS_MAX = 4096
"""How far back from an id its revision is looked for."""
_REVISION_MARK = 0x000F << 76
"""Turns a job's UUIDv7 into a UUIDv8, so that no revision is taken for a job."""


def named_id(kind: str, name: str) -> str:
    """The id of something that is known by its name."""
    return str(uuid5(_NAMESPACE, f"{kind}:{name}"))


def project_id(name: str, projects: Mapping[str, Project]) -> str:
    """The id of a project, from its record where there is one."""
    record = projects.get(name)
    return record.project_id if record is not None else named_id("project", name)


def revision_id(job_id: str, generation: int) -> str:
    """The id of one generation of a job; the job can be found from it without a second index."""
    return str(UUID(int=UUID(job_id).int ^ _REVISION_MARK ^ generation))


def revised_job_ids(revision: str) -> Iterator[tuple[int, str]]:
    """Every generation that a revision may be of, with the job that it then belongs to."""
    number = UUID(revision).int ^ _REVISION_MARK
    for generation in range(1, GENERATIONS_MAX + 1):
        yield generation, str(UUID(int=number ^ generation))


def canonical(text: str) -> str | None:
    """A UUID in its usual form; None where `text` is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return None
