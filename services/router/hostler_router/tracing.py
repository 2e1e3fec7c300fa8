"""Traces of requests: which are kept, and what the router says of them.

The request path asks `Tracer.begin` once and holds a `Span` only for a request whose trace is kept. Where traces are off there is no
tracer at all (`open_tracer` gives None) and nothing of OpenTelemetry is loaded. What goes into a span is what `genai_names` has names
for; what people write to models is not among it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, Unpack

from hostler_kit.trace_context import TraceParent, parse_traceparent, render_traceparent
from hostler_router.genai_names import PROVIDER, PROVIDER_VALUE, Attributes, named, span_name

if TYPE_CHECKING:  # a quarter of a second that is spent only where traces are on
    from hostler_kit.spans import Span as SdkSpan
    from hostler_kit.spans import Spans

TRACEPARENT = b"traceparent"
_ALWAYS = {PROVIDER: PROVIDER_VALUE}


class Rng(Protocol):
    """What decides which traces begin here."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


def open_tracer(sample: float | None, name: str, rng: Rng) -> Tracer | None:
    """The tracer of this process; None where traces are off.

    Args:
        sample: The share of the requests to keep whose caller did not decide; None switches traces off.
        name: Of this process.
        rng: Chooses them.
    """
    if sample is None or not _is_on(os.environ):
        return None
    from hostler_kit.spans import Spans  # late: see above

    return Tracer(Spans("router", name), sample, rng)


def _is_on(environ: Mapping[str, str]) -> bool:
    """There is a collector, and OpenTelemetry as a whole is not switched off."""
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return bool(endpoint) and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


class Tracer:
    """Decides which requests are traced, and begins their spans."""

    __slots__ = ("_rng", "_sample", "_spans")

    def __init__(self, spans: Spans, sample: float, rng: Rng) -> None:
        self._spans = spans
        self._sample = sample
        self._rng = rng

    def begin(self, headers: Mapping[bytes, bytes], now: float) -> Span | None:
        """The span of a request that arrived at `now`, on the monotonic clock.

        None where its trace is not kept: the caller said so, or chance did. A `traceparent` that came is then passed on as it is.
        """
        header = headers.get(TRACEPARENT)
        parent: TraceParent | None = parse_traceparent(header) if header is not None else None
        kept = parent.sampled if parent is not None else self._rng.random() < self._sample
        if not kept:
            return None
        start_ns = time.time_ns() - int((time.monotonic() - now) * 1e9)
        return Span(self._spans, self._spans.serve("request", parent, start_ns, _ALWAYS))

    async def close(self) -> None:
        """Send what is left."""
        await self._spans.close()


class Span:
    """The span of a request, or of one try of it at a replica."""

    __slots__ = ("_ended", "_span", "_spans")

    def __init__(self, spans: Spans, span: SdkSpan) -> None:
        self._spans = spans
        self._span = span
        self._ended = False

    @property
    def trace_id(self) -> str:
        """Of the trace, as people search for it."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def header(self) -> bytes:
        """The `traceparent` for whom this request, or this try, calls."""
        context = self._span.get_span_context()
        return render_traceparent(context.trace_id, context.span_id)

    def attempt(self, **attributes: Unpack[Attributes]) -> Span:
        """The span of a try at a replica, beneath this one; to be ended by itself, and its header is the replica's."""
        name = span_name(attributes) or "attempt"
        return Span(self._spans, self._spans.call(name, self._span, {**_ALWAYS, **named(attributes)}))

    def event(self, name: str, **attributes: Unpack[Attributes]) -> None:
        """Something happened now."""
        self._span.add_event(name, named(attributes))

    def end(self, **attributes: Unpack[Attributes]) -> None:
        """It is over; an `error` among the attributes makes it a failure. A second end changes nothing."""
        if self._ended:
            return
        self._ended = True
        if (name := span_name(attributes)) is not None:
            self._span.update_name(name)
        self._span.set_attributes(named(attributes))
        if attributes.get("error") is not None:
            self._spans.fail(self._span)
        self._span.end()
