"""The router's figures as Prometheus samples, made when somebody asks for them.

Registered by `metrics`, called by the ops port. Names that vLLM has, with its prefix in place of ours, are its names:
num_requests_running, num_requests_waiting, request_queue_time_seconds, time_to_first_token_seconds, inter_token_latency_seconds,
e2e_request_latency_seconds. `vllm:` itself is left to the servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from hostler_router.figures import Histogram, JobFigures

if TYPE_CHECKING:  # metrics makes the collector, which only reads it
    from hostler_router.metrics import RouterMetrics


class RouterCollector(Collector):
    """What the registry asks."""

    def __init__(self, metrics: RouterMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Every figure as it is now."""
        self._metrics.refresh()
        yield from _of_all(self._metrics)
        yield from _of_jobs(list(self._metrics.jobs.living.items()))


def _of_all(figures: RouterMetrics) -> Iterator[Metric]:
    yield _counter(
        "requests",
        "Requests that ended, by path and status.",
        ("route", "code"),
        {
            (route, str(code)): count
            for route, each in list(figures.routes.items())
            for code, count in list(each.codes.items())
        },
    )
    yield _histogram(
        "request_seconds",
        "From a request's first byte to the last of its answer.",
        ("route",),
        {(route,): each.seconds for route, each in list(figures.routes.items())},
    )
    yield _histogram(
        "first_token_seconds",
        "From a request's first byte to the first event of its stream.",
        (),
        {(): figures.first_event_seconds},
    )
    yield _histogram(
        "overhead_seconds",
        "What the router itself adds to an answer that is not streamed: without the replica, without the body's arrival.",
        (),
        {(): figures.overhead_seconds},
    )
    yield _by_word(
        "streams_broken",
        "Answers that ended in an error after they had begun.",
        "reason",
        figures.broken_by_reason,
    )
    yield _by_word(
        "retries",
        "Requests sent to another replica because one failed.",
        "reason",
        figures.retries_by_reason,
    )
    yield _by_word(
        "rate_limited", "Requests refused because of a limit.", "limit", figures.rate_limited_by_limit
    )
    yield _counter(
        "client_disconnects",
        "Requests whose client hung up before their end.",
        (),
        {(): figures.client_disconnects},
    )
    yield _counter(
        "windows_lost", "Load windows that could not be published.", (), {(): figures.windows_lost_count}
    )
    yield _counter(
        "usage_lost",
        "Finished requests that are in no usage, because they could not be stored.",
        (),
        {(): figures.usage_lost_requests},
    )
    yield _counter(
        "usage_spooled",
        "Finished requests that were written to a file, to be stored later.",
        (),
        {(): figures.usage_spooled_requests},
    )
    yield _histogram(
        "usage_commit_seconds",
        "How long it took to store a batch of finished requests.",
        (),
        {(): figures.usage_commit_seconds},
    )
    yield _gauge("retry_budget", "Retries that would be allowed now.", (), {(): figures.retry_budget})
    yield _gauge("client_connections", "Open connections of clients.", (), {(): figures.clients_open})
    yield _gauge(
        "upstream_connections",
        "Open connections to replicas, idle ones included.",
        (),
        {(): figures.upstreams_open},
    )


def _of_jobs(jobs: list[tuple[str, JobFigures]]) -> Iterator[Metric]:
    job = ("job",)
    yield _counter(
        "job_requests",
        "Requests for a job that ended, by outcome.",
        ("job", "outcome"),
        {(job_id, word): count for job_id, each in jobs for word, count in list(each.outcomes.items())},
    )
    yield _gauge(
        "in_flight",
        "Requests for a job that are under way.",
        job,
        {(job_id,): each.in_flight for job_id, each in jobs},
    )
    yield _gauge(
        "num_requests_running",
        "Requests for a job that a replica works on.",
        job,
        {(job_id,): max(each.in_flight - each.waiting, 0) for job_id, each in jobs},
    )
    yield _gauge(
        "num_requests_waiting",
        "Requests for a job in its waiting line.",
        job,
        {(job_id,): each.waiting for job_id, each in jobs},
    )
    yield _histogram(
        "request_queue_time_seconds",
        "How long requests were in the waiting line, of those that were in it.",
        job,
        {(job_id,): each.queue_time for job_id, each in jobs},
    )
    yield _histogram(
        "time_to_first_token_seconds",
        "From a request's first byte to the first event of its stream.",
        job,
        {(job_id,): each.first_token for job_id, each in jobs},
    )
    yield _histogram(
        "inter_token_latency_seconds",
        "From one event of a stream to the next.",
        job,
        {(job_id,): each.inter_token for job_id, each in jobs},
    )
    yield _histogram(
        "e2e_request_latency_seconds",
        "From a request's first byte to the last of its answer.",
        job,
        {(job_id,): each.whole for job_id, each in jobs},
    )
    yield _counter(
        "tokens",
        "Tokens of requests that ended; cached ones are among the prompt's.",
        ("job", "kind"),
        {
            (job_id, kind): count
            for job_id, each in jobs
            for kind, count in (
                ("prompt", each.prompt_tokens),
                ("cached", each.cached_tokens),
                ("generation", each.generation_tokens),
            )
        },
    )
    yield _counter(
        "audio_seconds",
        "Audio that requests were about.",
        job,
        {(job_id,): each.audio_seconds for job_id, each in jobs if each.audio_seconds},
    )
    yield _counter(
        "ejections",
        "Replicas that got no requests for a while because they failed.",
        ("job", "reason"),
        {(job_id, why): count for job_id, each in jobs for why, count in list(each.ejections.items())},
    )
    yield _gauge(
        "panic",
        "1 where so many replicas of a job look broken that all of them are used.",
        job,
        {(job_id,): float(each.panic) for job_id, each in jobs},
    )
    yield _counter(
        "resumed",
        "Streams that went on at another replica.",
        job,
        {(job_id,): each.resumed for job_id, each in jobs},
    )


_Values = Mapping[tuple[str, ...], float]


def _counter(name: str, text: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = CounterMetricFamily(f"hostler_router_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _by_word(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    return _counter(name, text, (label,), {(word,): count for word, count in list(values.items())})


def _gauge(name: str, text: str, labels: tuple[str, ...], values: _Values) -> Metric:
    family = GaugeMetricFamily(f"hostler_router_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], Histogram]
) -> Metric:
    family = HistogramMetricFamily(f"hostler_router_{name}", text, labels=labels)
    for key, histogram in values.items():
        family.add_metric(key, buckets=_cumulative(histogram), sum_value=histogram.total)
    return family


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    reached = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        reached += count
        buckets.append((floatToGoString(bound), reached))  # type: ignore[no-untyped-call]  # the package does not type it
    return buckets
