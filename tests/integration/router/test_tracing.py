"""Traces, as a real collector gets them over OTLP/HTTP; and nothing at all where they are off."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

from hostler_contracts import subjects
from hostler_contracts.envelope import TraceContext
from hostler_contracts.load import decode_window
from hostler_router import app, genai_names
from hostler_router.direct import DirectRequest
from hostler_router.exchange import Exchange
from hostler_router.parts import RouterParts
from hostler_router.tracing import Tracer, open_tracer
from hostler_router.wire.heads import Head
from hostler_router.wire.reply import Reply
from tests.integration.router.harness import Harness, running_router
from tests.integration.router.replicas import Replica
from tests.support.compiled import interpreted_only

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {b"traceparent": f"00-{TRACE}-{SPAN}-01".encode()}
UNSAMPLED = {b"traceparent": f"00-{TRACE}-{SPAN}-00".encode()}
KEY = "hsk_" + "k" * 40


class Collector:
    """What was sent.

    Attributes:
        requests: As they came.
        down: It answers 503.
    """

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.down = False

    async def take(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503)
        self.requests.append(ExportTraceServiceRequest.FromString(await request.read()))
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")

    @property
    def spans(self) -> dict[str, Sent]:
        """By name."""
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    for name in ("OTEL_SERVICE_NAME", "OTEL_SDK_DISABLED", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{host}:{port}")
    yield collector
    await runner.cleanup()


def tracer_for(sample: float) -> Tracer:
    tracer = open_tracer(sample, "router-1-w1", Random(5))
    assert tracer is not None
    return tracer


def attributes(of: Sent | Sent.Event) -> dict[str, object]:
    values = {}
    for each in of.attributes:
        kind = each.value.WhichOneof("value")
        assert kind is not None
        values[each.key] = getattr(each.value, kind)
    return values


async def test_spans_nest_from_the_caller_over_the_router_to_the_replica(collector: Collector) -> None:
    tracer = tracer_for(0.0)
    arrived = time.monotonic() - 0.5
    span = tracer.begin(SAMPLED, arrived)
    assert span is not None
    first = span.attempt(operation="chat", model="one", replica="r1", address="127.0.0.1", port=8000)
    first.end(error="connect")
    span.event("retry", reason="connect", replica="r1")
    second = span.attempt(operation="chat", model="two", replica="r2")
    replicas_view = second.header().decode().split("-")
    second.end(status=200)
    span.end(
        operation=genai_names.operation_of("/v1/chat/completions"),
        model="demo",
        response_model="tiny",
        stream=True,
        input_tokens=3,
        output_tokens=2,
        cached_tokens=0,
        first_chunk_seconds=0.25,
        method="POST",
        route="/v1/chat/completions",
        status=200,
        job="job-1",
        tries=2,
        error=None,
    )
    span.end(status=500)
    await tracer.close()

    assert set(collector.spans) == {"chat demo", "chat one", "chat two"}
    request, failed, answered = (collector.spans[name] for name in ("chat demo", "chat one", "chat two"))
    assert {each.trace_id.hex() for each in (request, failed, answered)} == {TRACE}
    assert request.parent_span_id.hex() == SPAN
    assert {failed.parent_span_id, answered.parent_span_id} == {request.span_id}
    assert replicas_view == ["00", TRACE, answered.span_id.hex(), "01"]
    assert (request.kind, answered.kind) == (Sent.SPAN_KIND_SERVER, Sent.SPAN_KIND_CLIENT)
    assert attributes(request) == {
        "gen_ai.provider.name": "hostler",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "demo",
        "gen_ai.response.model": "tiny",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.response.time_to_first_chunk": 0.25,
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "hostler.job.id": "job-1",
        "hostler.tries": 2,
    }
    assert attributes(failed)["error.type"] == "connect"
    assert (failed.status.code, request.status.code) == (2, 0)
    (event,) = request.events
    assert (event.name, attributes(event)) == (
        "retry",
        {"hostler.reason": "connect", "hostler.replica.id": "r1"},
    )
    seconds = (request.end_time_unix_nano - request.start_time_unix_nano) / 1e9
    assert 0.5 <= seconds < 60, "it began when the request arrived"
    assert abs(request.end_time_unix_nano / 1e9 - time.time()) < 60
    (resource,) = {request.resource_spans[0].resource.SerializeToString() for request in collector.requests}
    assert b"hostler-router" in resource
    assert b"router-1-w1" in resource


@pytest.mark.parametrize("flags", ["01", "00"])
async def test_the_trace_of_a_request_goes_on_to_its_replica_and_into_its_usage(
    router: Harness, first: Replica, flags: str
) -> None:
    await router.add_job(first.url)
    parent = f"00-{TRACE}-{SPAN}-{flags}"
    await router.chat(said={"traceparent": parent, "tracestate": "rojo=1 ,congo=2"})
    await router.chat(said={"traceparent": "nonsense", "tracestate": "rojo=1"})
    await router.chat()
    sent = [(each.headers.get("traceparent"), each.headers.get("tracestate")) for each in first.seen]
    assert sent == [(parent, "rojo=1 ,congo=2"), (None, None), (None, None)]
    assert [record.traceparent for _, record in await router.usage()] == [parent, None, None]


async def test_of_a_trace_that_the_router_keeps_replica_and_usage_have_its_own_spans(
    collector: Collector, first: Replica
) -> None:
    async with running_router(tracer=tracer_for(0.0)) as router:
        await router.add_job(first.url)
        await router.chat(said={"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "rojo=1"})
        ((_, record),) = await router.usage()
    by_kind = {span.kind: span for span in collector.spans.values()}
    request, attempt = by_kind[Sent.SPAN_KIND_SERVER], by_kind[Sent.SPAN_KIND_CLIENT]
    assert request.parent_span_id.hex() == SPAN
    assert record.traceparent == f"00-{TRACE}-{request.span_id.hex()}-01"
    (seen,) = first.seen
    assert seen.headers["traceparent"] == f"00-{TRACE}-{attempt.span_id.hex()}-01"
    assert seen.headers["tracestate"] == "rojo=1"


async def test_a_request_that_wakes_a_job_says_of_which_trace_it_is(router: Harness) -> None:
    await router.add_job(minimum=0, initial=0)
    parent = f"00-{TRACE}-{SPAN}-01"
    asking = asyncio.create_task(router.chat(said={"traceparent": parent, "tracestate": "rojo=1"}))
    async with asyncio.timeout(10):
        while not (found := [each async for each in router.bus.history(subjects.METRICS, ">")]):  # noqa: ASYNC110  # what is waited for tells nobody when it happens
            await asyncio.sleep(0.01)
    await asking
    assert decode_window(found[0].data).trace == TraceContext(parent, "rojo=1")


@interpreted_only
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_only_a_request_whose_trace_is_kept_leaves_the_straight_way(
    collector: Collector, first: Replica, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    direct: list[str] = []
    chance = Random(5)  # the tracer's
    kept = sum(chance.random() < share for _ in range(8))

    class Counted(DirectRequest):
        def __init__(
            self, parts: RouterParts, head: Head, reply: Reply, exchange: Exchange, **more: Any
        ) -> None:
            direct.append(exchange.request_id)
            super().__init__(parts, head, reply, exchange, **more)

    monkeypatch.setattr(app, "DirectRequest", Counted)
    async with running_router(tracer=tracer_for(share)) as router:
        await router.add_job(first.url)
        for _ in range(8):
            assert (await router.chat()).status == 200
        told = [record.traceparent for _, record in await router.usage()]
    assert len(direct) == 8 - kept
    assert sum(each is not None for each in told) == kept


async def test_who_is_traced_is_the_callers_choice_and_else_chances(collector: Collector) -> None:
    never, half, always = (tracer_for(share) for share in (0.0, 0.5, 1.0))
    now = time.monotonic()
    assert always.begin(UNSAMPLED, now) is None
    assert never.begin({}, now) is None
    assert never.begin(SAMPLED, now) is not None
    assert always.begin({}, now) is not None
    assert always.begin({b"traceparent": b"nonsense"}, now) is not None
    kept = sum(half.begin({}, now) is not None for _ in range(400))
    assert 150 < kept < 250
    for each in (never, half, always):
        await each.close()


async def test_a_trace_that_begins_here_has_an_id_of_its_own_and_no_parent(collector: Collector) -> None:
    tracer = tracer_for(1.0)
    span = tracer.begin({}, time.monotonic())
    assert span is not None
    trace_id = span.trace_id
    span.end(method="GET", route="/v1/models", status=200)
    await tracer.close()
    (sent,) = collector.spans.values()
    assert (sent.name, sent.trace_id.hex(), sent.parent_span_id) == ("GET /v1/models", trace_id, b"")


async def test_what_a_client_chose_is_short_and_holds_no_key(collector: Collector) -> None:
    tracer = tracer_for(1.0)
    span = tracer.begin({}, time.monotonic())
    assert span is not None
    span.end(operation="chat", model=f"{KEY} {'x' * 5000}", request_id=KEY)
    await tracer.close()
    raw = b"".join(request.SerializeToString() for request in collector.requests)
    assert KEY.encode() not in raw
    assert b"hsk_[redacted]" in raw
    assert len(raw) < 3000


def test_there_is_no_name_for_what_people_write() -> None:
    assert set(genai_names.NAMES) == set(genai_names.Attributes.__annotations__)
    forbidden = ("message", "prompt", "content", "instruction", "text")
    assert [name for name in genai_names.NAMES.values() if any(word in name for word in forbidden)] == []


async def test_a_collector_that_is_away_holds_a_stop_up_for_a_few_seconds_at_most(
    collector: Collector,
) -> None:
    collector.down = True
    tracer = tracer_for(1.0)
    span = tracer.begin({}, time.monotonic())
    assert span is not None
    span.end(method="GET", route="/v1/models")
    async with asyncio.timeout(30):
        await tracer.close()
    assert collector.spans == {}


@pytest.mark.parametrize(
    ("sample", "endpoint", "disabled"),
    [(None, "http://127.0.0.1:1", ""), (1.0, "", ""), (1.0, "http://127.0.0.1:1", "TRUE")],
    ids=["no share", "no collector", "switched off"],
)
def test_where_traces_are_off_nothing_of_opentelemetrys_sdk_is_loaded(
    sample: float | None, endpoint: str, disabled: str
) -> None:
    program = (
        "import sys, random\n"
        "import hostler_router.service, hostler_router.__main__\n"
        "from hostler_router.tracing import open_tracer\n"
        f"assert open_tracer({sample!r}, 'router-1', random.Random()) is None\n"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry.sdk.trace') or name.startswith('opentelemetry.exporter')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "PYTHONPATH": ":".join(sys.path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_SDK_DISABLED": disabled,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
