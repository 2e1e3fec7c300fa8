"""Under what conditions traffic is served: the engine, cold starts, failures, the bounds and targets of the job."""

from dataclasses import dataclass

from hostler_autoscaler.simulation.engine import EngineModel


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything but the traffic and the policy.

    Attributes:
        engine: What the replicas are like.
        target_rps: Requests per second that the user says a replica takes.
        target_latency_ms: A request that takes no longer meets its objective.
        min_replicas: Never fewer are wanted.
        max_replicas: Never more are wanted.
        initial_replicas: So many are ready at the begin.
        cold_start_seconds: From launch to ready, in the middle.
        cold_start_spread: The standard deviation of the logarithm of that.
        boot_failure_share: So many launches of one fail when they should be ready.
        life_seconds: Ready replicas die by chance after so long on average; what they had is served anew by others. None: they don't.
        stabilisation_seconds: The job's window.
        outages: From when to when there are no metrics.
        outstanding_max: So many requests does the router send to a replica at once; those above wait with it. None: it sends all.
    """

    engine: EngineModel
    target_rps: float
    target_latency_ms: float
    min_replicas: int = 1
    max_replicas: int = 16
    initial_replicas: int = 1
    cold_start_seconds: float = 180.0
    cold_start_spread: float = 0.1
    boot_failure_share: float = 0.0
    life_seconds: float | None = None
    stabilisation_seconds: float = 300.0
    outages: tuple[tuple[float, float], ...] = ()
    outstanding_max: int | None = None

    def metrics_at(self, moment: float) -> bool:
        """Whether there are metrics then."""
        return not any(begin <= moment < end for begin, end in self.outages)
