"""What the router counts for Prometheus. Job ids are labels of the few figures that are asked for per job, and of no other."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OVERHEAD_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)


class RouterMetrics:
    """The figures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "hostler_router_requests_total",
            "Requests that ended, by path and status.",
            ("route", "code"),
            registry=registry,
        )
        self._job_requests = Counter(
            "hostler_router_job_requests_total",
            "Requests for a job that ended, by outcome.",
            ("job", "outcome"),
            registry=registry,
        )
        self._in_flight = Gauge(
            "hostler_router_in_flight", "Requests for a job that are under way.", ("job",), registry=registry
        )
        self._seconds = Histogram(
            "hostler_router_request_seconds",
            "From a request's first byte to the last of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_event_seconds = Histogram(
            "hostler_router_first_token_seconds",
            "From a request's first byte to the first event of its stream.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._overhead_seconds = Histogram(
            "hostler_router_overhead_seconds",
            "What the router itself adds to an answer that is not streamed: without the replica, without the body's arrival.",
            buckets=_OVERHEAD_SECONDS,
            registry=registry,
        )
        self._broken = Counter(
            "hostler_router_streams_broken_total",
            "Answers that ended in an error after they had begun.",
            ("reason",),
            registry=registry,
        )
        self._retries = Counter(
            "hostler_router_retries_total",
            "Requests sent to another replica because one failed.",
            ("reason",),
            registry=registry,
        )
        self._client_gone = Counter(
            "hostler_router_client_disconnects_total",
            "Requests whose client hung up before their end.",
            registry=registry,
        )
        self._windows_lost = Counter(
            "hostler_router_windows_lost_total",
            "Load windows that could not be published.",
            registry=registry,
        )

        self._usage_lost = Counter(
            "hostler_router_usage_lost_total",
            "Finished requests that are in no usage, because they could not be stored.",
            registry=registry,
        )

    def ended(self, route: str, code: int, seconds: float) -> None:
        """A request ended; 499 stands for a client that hung up."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def job_ended(self, job_id: str, outcome: str) -> None:
        """A request for a job ended."""
        self._job_requests.labels(job_id, outcome).inc()

    def set_in_flight(self, job_id: str, requests: int) -> None:
        """So many requests for a job are under way."""
        self._in_flight.labels(job_id).set(requests)

    def forget_job(self, job_id: str) -> None:
        """The job is gone: drop its figures, or they would be reported for ever."""
        self._in_flight.remove_by_labels({"job": job_id})
        self._job_requests.remove_by_labels({"job": job_id})

    def first_event(self, seconds: float) -> None:
        """A stream began."""
        self._first_event_seconds.observe(seconds)

    def overhead(self, seconds: float) -> None:
        """An answer that was not streamed took so much longer than the replica did."""
        self._overhead_seconds.observe(max(seconds, 0.0))

    def broken(self, reason: str) -> None:
        """An answer ended in an error after it had begun."""
        self._broken.labels(reason).inc()

    def retried(self, reason: str) -> None:
        """A request goes to another replica."""
        self._retries.labels(reason).inc()

    def client_gone(self) -> None:
        """A client hung up."""
        self._client_gone.inc()

    def windows_lost(self, count: int) -> None:
        """Windows could not be published."""
        self._windows_lost.inc(count)

    def usage_lost(self, count: int) -> None:
        """Finished requests could not be stored."""
        self._usage_lost.inc(count)
