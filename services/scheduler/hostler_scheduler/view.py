"""What the scheduler looks at: every living job, every node, every hardware profile, as of one moment.

The service assembles it from its projections; `place.plan` reads it and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hostler_domain.capacity import Node
from hostler_domain.catalogue import HardwareProfile, Project
from hostler_domain.job import Job


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The whole present state.

    Attributes:
        jobs: Those that are not deleted, the first to be served first: highest priority, then oldest, then by id.
        nodes: By key.
        profiles: Hardware profiles by name.
        projects: By name; one that is not in it has neither quota nor limit.
    """

    jobs: tuple[Job, ...]
    nodes: tuple[Node, ...]
    profiles: Mapping[str, HardwareProfile]
    projects: Mapping[str, Project]


def assemble(
    jobs: Iterable[Job],
    nodes: Iterable[Node],
    profiles: Iterable[HardwareProfile],
    projects: Iterable[Project] = (),
) -> ClusterView:
    """The view of these records; the order in which they come makes no difference."""
    return ClusterView(
        jobs=tuple(
            sorted(
                (job for job in jobs if not job.deleted),
                key=lambda job: (-job.spec.priority, job.created_at, job.job_id),
            )
        ),
        nodes=tuple(sorted(nodes, key=lambda node: node.key)),
        profiles=MappingProxyType({profile.name: profile for profile in profiles}),
        projects=MappingProxyType({project.name: project for project in projects}),
    )
