"""The autoscaler's figures, counted by the service and shown on `/metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hostler_autoscaler.decision import Decision
from hostler_autoscaler.observation import LoadSignals, Observation
from hostler_domain.job import Job

_TICK_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class AutoscalerMetrics:
    """The figures of one process.

    Attributes:
        leader: 1 while it acts.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter(
            "hostler_autoscaler_decisions_total",
            "Decisions by direction; `hold` is one that wanted for data.",
            ("direction",),
            registry=registry,
        )
        self._desired = Gauge(
            "hostler_autoscaler_desired_replicas",
            "What was last decided for a job.",
            ("job",),
            registry=registry,
        )
        self._unknown = Gauge(
            "hostler_autoscaler_jobs_without_data",
            "Jobs of which nobody knows how busy they are, as of their last decision.",
            registry=registry,
        )
        self._seconds = Histogram(
            "hostler_autoscaler_tick_seconds",
            "How long it took to decide for the jobs of one tick.",
            buckets=_TICK_SECONDS,
            registry=registry,
        )
        self._looked = Gauge(
            "hostler_autoscaler_tick_jobs", "How many jobs the last tick decided for.", registry=registry
        )
        self._jobs: set[str] = set()
        self._without: set[str] = set()
        self.leader = Gauge(
            "hostler_autoscaler_leader", "1 in the process that acts, 0 in the others.", registry=registry
        )

    def told(self, job: Job, decision: Decision, observation: Observation) -> None:
        """A decision was made for a job."""
        current = job.status.desired_replicas
        if decision.replicas != current:
            direction = "up" if decision.replicas > current else "down"
        else:
            direction = "hold" if decision.hold else "stay"
        self._decisions.labels(direction).inc()
        self._desired.labels(job.job_id).set(decision.replicas)
        self._jobs.add(job.job_id)
        if isinstance(observation.load, LoadSignals):
            self._without.discard(job.job_id)
        else:
            self._without.add(job.job_id)
        self._unknown.set(len(self._without))

    def turned(self, jobs: int, seconds: float) -> None:
        """A tick is over."""
        self._looked.set(jobs)
        self._seconds.observe(seconds)

    def forget(self, job_id: str) -> None:
        """A job is gone."""
        self._without.discard(job_id)
        self._unknown.set(len(self._without))
        if job_id in self._jobs:
            self._jobs.remove(job_id)
            self._desired.remove(job_id)
