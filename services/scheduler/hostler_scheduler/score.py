"""Which of several nodes is best: a score from 0 to 1, higher is better.

A site that the job prefers comes before everything else. Then, spreading a job's replicas over nodes outweighs the rest, so that
one lost node does not take a whole job with it; a node that still has a disk of the job saves fetching the weights once more; and
among nodes that are equal in that, the fullest wins, so that whole nodes stay free for large replicas.
"""

from hostler_domain.capacity import Resources

SPREAD_SHARE = 0.7
"""More than twice the two others together, so that a node without a replica of the job always beats one with a replica of it."""
DISK_SHARE = 0.15
PACKING_SHARE = 0.15


def score(
    packed: float, *, same_job_replicas: int = 0, has_disk: bool = False, site_rank: int = 0, sites: int = 1
) -> float:
    """How good a node is for a replica.

    Args:
        packed: How full the node would be with it, as `packing` says.
        same_job_replicas: How many replicas of the same job hold room there already.
        has_disk: Whether a replica of the job that ended left its disk there.
        site_rank: Place of the node's site among those that the job prefers, from 0.
        sites: How many these are, at least 1.
    """
    spread = 1 / (1 + same_job_replicas)
    within = SPREAD_SHARE * spread + DISK_SHARE * has_disk + PACKING_SHARE * packed
    # Rounded, so that nodes that differ by a rounding error tie, and the tie goes to the first by key.
    return round((sites - 1 - site_rank + within) / sites, 6)


def packing(capacity: Resources, left: Resources) -> float:
    """How full a node is with `left` left over: of its GPUs where it has some, else of what is scarcest."""
    if capacity.gpus > 0:
        return _used(capacity.gpus, left.gpus)
    return max(_used(capacity.cpu_cores, left.cpu_cores), _used(capacity.memory_bytes, left.memory_bytes))


def _used(whole: float, left: float) -> float:
    return min(max(1 - left / whole, 0.0), 1.0) if whole > 0 else 0.0
