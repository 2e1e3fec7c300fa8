"""What the scheduler looks at: every living job, every node, every hardware profile, as of one moment.

The service assembles it from its projections; `place.plan` reads it and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hostler_domain.capacity import Node
from hostler_domain.catalogue import HardwareProfile
from hostler_domain.job import Job


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The whole present state.

    Attributes:
        jobs: Those that are not deleted, the first to be served first: highest priority, then oldest, then by id.
        nodes: By key.
        profiles: Hardware profiles by name.
    """

    jobs: tuple[Job, ...]
    nodes: tuple[Node, ...]
    profiles: Mapping[str, HardwareProfile]


def assemble(jobs: Iterable[Job], nodes: Iterable[Node], profiles: Iterable[HardwareProfile]) -> ClusterView:
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
    )
