"""What the router says of a request in a trace, and what OpenTelemetry calls it. The one place with these names.

The names beneath `gen_ai.` are those of the repository open-telemetry/semantic-conventions-genai in November 2026. **All of them have
the status Development**: they may change with any release, and there is no stable one yet. Ours then change here. The older ones (v1.36 and
before, such as `gen_ai.system`) were never sent, so `OTEL_SEMCONV_STABILITY_OPT_IN` has nothing to choose between. Those beneath `http.`,
`server.` and `error.` are stable, those beneath `hostler.` our own.

Only what stands here can be said: there is no name for what people write to a model or get from it.
"""

from collections.abc import Mapping
from typing import Final, TypedDict

from hostler_domain.redaction import redact

Attribute = str | int | float | bool
PROVIDER: Final = "gen_ai.provider.name"
PROVIDER_VALUE: Final = "hostler"
_TEXT_CHARS_MAX: Final = 256


class Attributes(TypedDict, total=False):
    """What can be said of a request, or of one try of it; None is as good as nothing."""

    operation: str | None
    model: str | None
    response_model: str | None
    stream: bool | None
    tokens_max: int | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    first_chunk_seconds: float | None
    method: str | None
    route: str | None
    status: int | None
    error: str | None
    address: str | None
    port: int | None
    job: str | None
    project: str | None
    replica: str | None
    request_id: str | None
    outcome: str | None
    tries: int | None
    reason: str | None
    waited_seconds: float | None


NAMES: Final[Mapping[str, str]] = {
    "operation": "gen_ai.operation.name",
    "model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "stream": "gen_ai.request.stream",
    "tokens_max": "gen_ai.request.max_tokens",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "first_chunk_seconds": "gen_ai.response.time_to_first_chunk",
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "error": "error.type",
    "address": "server.address",
    "port": "server.port",
    "job": "hostler.job.id",
    "project": "hostler.project",
    "replica": "hostler.replica.id",
    "request_id": "hostler.request.id",
    "outcome": "hostler.outcome",
    "tries": "hostler.tries",
    "reason": "hostler.reason",
    "waited_seconds": "hostler.waited",
}

_OPERATIONS: Final[Mapping[str, str]] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/responses": "chat",
    "/v1/embeddings": "embeddings",
    "/v1/audio/transcriptions": "transcription",
    "/v1/audio/translations": "translation",
}


def operation_of(route: str) -> str | None:
    """What a path does, in the convention's words; speech has none there yet, and gets words of ours."""
    return _OPERATIONS.get(route)


def named(attributes: Attributes) -> dict[str, Attribute]:
    """The attributes under their names; texts, which a client may have chosen, short and without keys."""
    found: dict[str, Attribute] = {}
    for word, value in attributes.items():
        if isinstance(value, str):
            found[NAMES[word]] = redact(value[:_TEXT_CHARS_MAX])
        elif isinstance(value, bool | int | float):
            found[NAMES[word]] = value
    return found


def span_name(attributes: Attributes) -> str | None:
    """What the convention calls such a span: operation and model, or method and route."""
    first, second = attributes.get("operation"), attributes.get("model")
    if not first:
        first, second = attributes.get("method"), attributes.get("route")
    if not first:
        return None
    return redact(f"{first} {second}"[:_TEXT_CHARS_MAX]) if second else first
