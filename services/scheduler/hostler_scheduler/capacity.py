"""What every node has and who holds it, for `/metrics`: used, draining and free are its total, or something is counted wrongly.

Counted when somebody reads the metrics, by every scheduler, leader or not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hostler_domain.capacity import Node, Resources
from hostler_scheduler.view import ClusterView

_KINDS = ("gpus", "cpu_cores", "memory_bytes")


@dataclass(frozen=True, slots=True)
class NodeUse:
    """What became of a node's resources.

    Attributes:
        node: The node, with what it has altogether.
        used: What active replicas hold.
        draining: What replicas hold that are on their way out.
        free: What the next replica may have; negative where more was given out than there is.
    """

    node: Node
    used: Resources
    draining: Resources
    free: Resources


def uses(view: ClusterView) -> tuple[NodeUse, ...]:
    """Every node's resources, by node."""
    used: dict[str, Resources] = {}
    draining: dict[str, Resources] = {}
    free = {node.key: node.capacity for node in view.nodes}
    for job in view.jobs:
        for replica in job.replicas:
            key, taken = replica.placement.node_key, replica.placement.taken
            if replica.ended or key not in free:
                continue
            held = used if replica.active else draining
            held[key] = held.get(key, Resources()) + taken
            free[key] -= taken
    return tuple(
        NodeUse(node, used.get(node.key, Resources()), draining.get(node.key, Resources()), free[node.key])
        for node in view.nodes
    )


class CapacityCollector(Collector):
    """Gives `uses` out as gauges."""

    def __init__(self, view: Callable[[], ClusterView]) -> None:
        self._view = view

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Its name, without counting anything."""
        yield _family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """A sample for every node, kind of resource, and what became of it."""
        family = _family()
        for use in uses(self._view()):
            for state, amount in (
                ("total", use.node.capacity),
                ("used", use.used),
                ("draining", use.draining),
                ("free", use.free),
            ):
                values = (amount.gpus, amount.cpu_cores, amount.memory_bytes)
                for kind, value in zip(_KINDS, values, strict=True):
                    if kind != "gpus" or use.node.capacity.gpus:
                        family.add_metric((use.node.cluster, use.node.name, kind, state), value)
        yield family


def _family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "hostler_scheduler_node_resources",
        "What nodes have: total = used + draining + free.",
        labels=("cluster", "node", "resource", "state"),
    )
