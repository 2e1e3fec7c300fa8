"""The figures of a provisioner, shared by the clusters that it acts for."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from hostler_provisioner.backend import ObservedReplica, Step


class ProvisionerMetrics:
    """Counts what is seen and done."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._observed = Gauge(
            "hostler_provisioner_replicas",
            "Replicas that a backend sees.",
            ("cluster", "step"),
            registry=registry,
        )
        self._stuck = Gauge(
            "hostler_provisioner_stuck_deletions",
            "Replicas whose machine takes longer to go than it may; what they hold is not free.",
            ("cluster",),
            registry=registry,
        )
        self._reachable = Gauge(
            "hostler_provisioner_cluster_reachable",
            "Whether the cluster answers.",
            ("cluster",),
            registry=registry,
        )
        self._actions = Counter(
            "hostler_provisioner_actions_total",
            "Actions carried out.",
            ("cluster", "action"),
            registry=registry,
        )

    def observed(self, cluster: str, replicas: Iterable[ObservedReplica]) -> None:
        """What a backend sees now."""
        seen = tuple(replicas)
        steps = [each.step for each in seen]
        self._reachable.labels(cluster).set(1)
        self._stuck.labels(cluster).set(sum(each.stuck for each in seen))
        for step in Step:
            self._observed.labels(cluster, step).set(steps.count(step))

    def unreachable(self, cluster: str) -> None:
        """Nothing is seen now."""
        self._reachable.labels(cluster).set(0)

    def acted(self, cluster: str, action: object) -> None:
        """One action is carried out."""
        self._actions.labels(cluster, type(action).__name__).inc()
