"""Spans to an OpenTelemetry collector, over OTLP/HTTP: the one place that knows OpenTelemetry's SDK.

Imported only where traces are on, since that takes a quarter of a second. Where to and how much at a time is said by OpenTelemetry's own
environment variables (`OTEL_EXPORTER_OTLP_...`, `OTEL_BSP_...`, `OTEL_RESOURCE_ATTRIBUTES`). Sending happens in a thread of the SDK; a collector
that is away costs spans, never a request.
"""

import asyncio
import os
import threading
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from hostler_kit.trace_context import TraceParent

_CLOSE_SECONDS = 3.0
"""How long a stop waits for the collector to take the last spans."""

__all__ = ["Span", "Spans"]


class Spans:
    """Makes spans of one process. Who asks for one has decided that it is kept."""

    def __init__(self, service: str, name: str) -> None:
        """`service` is what all processes of the kind are called, `name` this one alone."""
        resource = {SERVICE_INSTANCE_ID: name}
        if not os.environ.get("OTEL_SERVICE_NAME"):
            resource[SERVICE_NAME] = f"hostler-{service}"
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(dict(resource)), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(f"hostler_{service}")

    def serve(
        self,
        name: str,
        parent: TraceParent | None,
        start_ns: int,
        attributes: Mapping[str, str | int | float | bool],
    ) -> Span:
        """The span of a request that came in, beneath its caller's or as a trace's first."""
        context = None
        if parent is not None:
            flags = TraceFlags(TraceFlags.SAMPLED)
            caller = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(caller))
        return self._tracer.start_span(name, context, SpanKind.SERVER, dict(attributes), start_time=start_ns)

    def call(self, name: str, parent: Span, attributes: Mapping[str, str | int | float | bool]) -> Span:
        """The span of a call that goes out, beneath the span of the request that it is for."""
        return self._tracer.start_span(name, set_span_in_context(parent), SpanKind.CLIENT, dict(attributes))

    def fail(self, span: Span) -> None:
        """What the span is about failed."""
        span.set_status(StatusCode.ERROR)

    async def close(self) -> None:
        """Send what is left, for a few seconds."""
        # A thread of its own that nobody has to wait for: the SDK may try a dead collector for longer than a stop may take.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSE_SECONDS)
