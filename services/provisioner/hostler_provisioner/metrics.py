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
        self._actions = Counter(
            "hostler_provisioner_actions_total",
            "Actions carried out.",
            ("cluster", "action"),
            registry=registry,
        )

    def observed(self, cluster: str, replicas: Iterable[ObservedReplica]) -> None:
        """What a backend sees now."""
        steps = [each.step for each in replicas]
        for step in Step:
            self._observed.labels(cluster, step).set(steps.count(step))

    def acted(self, cluster: str, action: object) -> None:
        """One action is carried out."""
        self._actions.labels(cluster, type(action).__name__).inc()
