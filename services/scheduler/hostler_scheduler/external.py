"""Places for replicas that adopt a server which runs already: one active replica per server, and no room is taken.

A replica that drains leaves its server free at once: the next one sends new requests there while the old ones finish. Pure;
`place.plan` calls it.
"""

from collections.abc import Callable

from hostler_domain.capacity import Resources
from hostler_domain.external import EXTERNAL, ExternalServers, node_of
from hostler_domain.job import Job, Placement
from hostler_domain.replica_states import ReplicaState


def free_server(
    job: Job, servers: ExternalServers, active_at: Callable[[Placement], int]
) -> Placement | None:
    """The server for one more replica: of those without one, the first among those that failed least; None when all have one."""
    places = [Placement(EXTERNAL, node_of(index), Resources()) for index in range(len(servers.endpoints))]
    free = [place for place in places if active_at(place) == 0]
    return min(free, key=lambda place: _failures(job, place), default=None)


def _failures(job: Job, place: Placement) -> int:
    return sum(
        replica.state is ReplicaState.FAILED and replica.placement.node_key == place.node_key
        for replica in job.replicas
    )
