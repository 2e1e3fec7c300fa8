"""The router's figures: what is counted is what a scrape shows, cheaply, and nothing outlives its job."""

import re
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hostler_router import figures
from hostler_router.metrics import RouterMetrics
from hostler_router.workers import WorkersCollector


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> RouterMetrics:
    return RouterMetrics(registry)


JOB = {"job": "job-1"}


def test_what_was_counted_is_what_a_scrape_shows(registry: CollectorRegistry, metrics: RouterMetrics) -> None:
    metrics.ended("/v1/chat/completions", 200, 0.2)
    metrics.ended("/v1/chat/completions", 200, 0.3)
    metrics.ended("/v1/chat/completions", 499, 9.0)
    metrics.job_ended("job-1", "answered", 0.2)
    metrics.job_ended("job-1", "answered")
    metrics.set_in_flight("job-1", 5)
    metrics.set_waiting("job-1", 2)
    metrics.waited("job-1", 0.5)
    metrics.first_event(0.1, "job-1")
    metrics.first_event(0.1)
    metrics.next_event("job-1", 0.02)
    metrics.overhead(-0.1)
    metrics.tokens("job-1", prompt=10, generation=3, cached=4)
    metrics.tokens("job-1", prompt=1, generation=1)
    metrics.audio("job-1", 2.5)
    metrics.ejected("job-1", "stall")
    metrics.set_panic("job-1", True)
    metrics.resumed("job-1")
    metrics.broken("stalled")
    metrics.retried("connect")
    metrics.rate_limited("rpm")
    metrics.set_retry_budget(12.5)
    metrics.client_gone()
    metrics.windows_lost(2)
    metrics.usage_lost(3)
    metrics.usage_spooled(4)
    metrics.usage_committed(0.002)
    for _ in range(3):
        metrics.client_opened()
        metrics.upstream_opened()
    metrics.client_closed()
    metrics.upstream_closed()
    expected: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {
        ("requests_total", (("route", "/v1/chat/completions"), ("code", "200"))): 2,
        ("requests_total", (("route", "/v1/chat/completions"), ("code", "499"))): 1,
        ("request_seconds_count", (("route", "/v1/chat/completions"),)): 3,
        ("request_seconds_sum", (("route", "/v1/chat/completions"),)): 9.5,
        ("job_requests_total", (("job", "job-1"), ("outcome", "answered"))): 2,
        ("e2e_request_latency_seconds_count", (("job", "job-1"),)): 1,
        ("in_flight", (("job", "job-1"),)): 5,
        ("num_requests_running", (("job", "job-1"),)): 3,
        ("num_requests_waiting", (("job", "job-1"),)): 2,
        ("request_queue_time_seconds_sum", (("job", "job-1"),)): 0.5,
        ("first_token_seconds_count", ()): 2,
        ("time_to_first_token_seconds_count", (("job", "job-1"),)): 1,
        ("inter_token_latency_seconds_sum", (("job", "job-1"),)): 0.02,
        ("overhead_seconds_sum", ()): 0.0,
        ("overhead_seconds_count", ()): 1,
        ("tokens_total", (("job", "job-1"), ("kind", "prompt"))): 11,
        ("tokens_total", (("job", "job-1"), ("kind", "generation"))): 4,
        ("tokens_total", (("job", "job-1"), ("kind", "cached"))): 4,
        ("audio_seconds_total", (("job", "job-1"),)): 2.5,
        ("ejections_total", (("job", "job-1"), ("reason", "stall"))): 1,
        ("panic", (("job", "job-1"),)): 1,
        ("resumed_total", (("job", "job-1"),)): 1,
        ("streams_broken_total", (("reason", "stalled"),)): 1,
        ("retries_total", (("reason", "connect"),)): 1,
        ("rate_limited_total", (("limit", "rpm"),)): 1,
        ("retry_budget", ()): 12.5,
        ("client_disconnects_total", ()): 1,
        ("windows_lost_total", ()): 2,
        ("usage_lost_total", ()): 3,
        ("usage_spooled_total", ()): 4,
        ("usage_commit_seconds_count", ()): 1,
        ("client_connections", ()): 2,
        ("upstream_connections", ()): 2,
    }
    seen = {
        (name, labels): registry.get_sample_value(f"hostler_router_{name}", dict(labels))
        for name, labels in expected
    }
    assert seen == expected


@pytest.mark.parametrize("value", [0.0, 0.004, 0.005, 0.0051, 0.01, 599.9, 600, 601])
def test_a_histogram_counts_as_the_clients_own_does(value: float) -> None:
    """On a bound, between two, above all."""
    registry = CollectorRegistry()
    own = Histogram("hostler_router_request_seconds", "x", buckets=figures.ROUTE_SECONDS, registry=registry)
    own.observe(value)
    ours = CollectorRegistry()
    RouterMetrics(ours).ended("/x", 200, value)
    for bound in (*figures.ROUTE_SECONDS, float("inf")):
        le = "+Inf" if bound == float("inf") else str(float(bound))
        name = "hostler_router_request_seconds_bucket"
        assert ours.get_sample_value(name, {"route": "/x", "le": le}) == registry.get_sample_value(
            name, {"le": le}
        ), le


def test_the_text_parses_and_every_name_has_our_prefix(
    registry: CollectorRegistry, metrics: RouterMetrics
) -> None:
    metrics.job_ended('job "1"\n', "answered", 1.0)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert families
    assert {family.name.startswith("hostler_router_") for family in families} == {True}
    assert {'job "1"\n'} == {
        sample.labels.get("job", 'job "1"\n') for each in families for sample in each.samples
    }


def test_a_job_that_is_gone_leaves_no_series_even_if_a_request_ends_later(
    registry: CollectorRegistry, metrics: RouterMetrics
) -> None:
    held = metrics.job("job-1")
    metrics.job_ended("job-1", "answered", 1.0)
    metrics.job_ended("job-2", "answered", 1.0)
    metrics.forget_job("job-1")
    held.resumed += 1
    metrics.set_in_flight("job-1", 3)
    metrics.job_ended("job-1", "cut")
    metrics.first_event(1.0, "job-1")
    text = generate_latest(registry).decode()
    assert "job-1" not in text
    assert 'job="job-2"' in text


def test_jobs_that_went_long_ago_are_not_remembered_for_ever() -> None:
    table = figures.JobTable()
    for number in range(10_000):
        table.forget(f"job-{number}")
    assert len(table._gone) == 4096
    assert table.of("job-9999") is table.of("job-9998"), "both count where nobody reads"


def test_what_is_only_read_at_a_scrape_is_asked_for_then(
    registry: CollectorRegistry, metrics: RouterMetrics
) -> None:
    balances = iter((1.0, 2.0))
    metrics.before_scrape(lambda: metrics.set_retry_budget(next(balances)))
    assert registry.get_sample_value("hostler_router_retry_budget") == 1.0
    assert registry.get_sample_value("hostler_router_retry_budget") == 2.0


def test_counting_costs_next_to_nothing(metrics: RouterMetrics) -> None:
    """Less than a microsecond on a quiet machine (docs/observability.md); ten times that here, for a busy one."""
    times = 20_000
    best = min(_seconds(metrics, times) for _ in range(5))
    assert best / times < 10e-6


def _seconds(metrics: RouterMetrics, times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        metrics.next_event("job-1", 0.02)
    return time.process_time() - started


def test_the_documented_figures_are_those_that_there_are(
    registry: CollectorRegistry, metrics: RouterMetrics
) -> None:
    registry.register(WorkersCollector([]))
    documented = re.findall(
        r"^\| `(\w+)` \| (\w+) \|",
        (Path(__file__).parents[3] / "docs/observability.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    exposed = [
        (
            family.name.removeprefix("hostler_router_") + ("_total" if family.type == "counter" else ""),
            family.type,
        )
        for family in registry.collect()
    ]
    assert sorted(documented) == sorted(exposed)
