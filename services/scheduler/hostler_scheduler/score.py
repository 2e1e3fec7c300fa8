"""Which of several nodes is best: a score from 0 to 1, higher is better.

Spreading a job's replicas over nodes outweighs packing, so that one lost node does not take a whole job with it; among nodes
that are equal in that, the fullest wins, so that whole nodes stay free for large replicas.
"""

from hostler_domain.capacity import Node, Resources

SPREAD_SHARE = 2 / 3
"""With one third for packing, a node without a replica of the job always beats one with a replica of it."""


def score(node: Node, free: Resources, needed: Resources, same_job_replicas: int) -> float:
    """How good `node` is for a replica.

    Args:
        node: It has room for the replica.
        free: What it has left before it takes the replica.
        needed: What the replica takes.
        same_job_replicas: How many replicas of the same job hold room there already.
    """
    spread = 1 / (1 + same_job_replicas)
    # Rounded, so that nodes that differ by a rounding error tie, and the tie goes to the first by key.
    return round(SPREAD_SHARE * spread + (1 - SPREAD_SHARE) * packing(node, free - needed), 6)


def packing(node: Node, left: Resources) -> float:
    """How full the node is with `left` left over: of its GPUs where it has some, else of what is scarcest."""
    capacity = node.capacity
    if capacity.gpus > 0:
        return _used(capacity.gpus, left.gpus)
    return max(_used(capacity.cpu_cores, left.cpu_cores), _used(capacity.memory_bytes, left.memory_bytes))


def _used(whole: float, left: float) -> float:
    return min(max(1 - left / whole, 0.0), 1.0) if whole > 0 else 0.0
