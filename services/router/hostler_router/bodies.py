"""What the router reads in bodies: three fields of a request, the usage of an answer. Everything else travels as it came.

Pure; called by the inference handler and the relay.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeGuard

import pydantic_core

from hostler_router.forms import FormBody
from hostler_router.openai_errors import Refused, invalid

JsonObject = Mapping[str, object]
MODEL_LENGTH_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer took, as the runtime counted it: tokens, or begun seconds of audio."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for inference.

    Attributes:
        model: Which job, in any of the ways to name one.
        stream: Whether the answer shall come as events.
        strip_usage: The usage in the stream was asked for by the router, so the client does not get it.
        body: What the replica gets.
    """

    model: str
    stream: bool
    strip_usage: bool
    body: bytes | FormBody

    @property
    def content_type(self) -> str:
        """Of the body."""
        return self.body.content_type if isinstance(self.body, FormBody) else "application/json"


def read_request(body: bytes, *, may_stream: bool, meant: str | None = None) -> Asked:
    """What is asked for.

    The body stays as it came, but for a stream whose client does not want its usage: the runtime is asked for it all the
    same, because load and bills are counted from it.

    Args:
        body: As it came.
        may_stream: Whether the route knows streams.
        meant: The model that the request's head names; it goes before the body's, and into the body.

    Raises:
        Refused: it is no JSON object, or names no model.
    """
    try:
        decoded = as_object(pydantic_core.from_json(body, allow_inf_nan=False))
    except ValueError:
        raise Refused(invalid("The request body is not valid JSON.", code="invalid_json")) from None
    if decoded is None:
        raise Refused(invalid("The request body must be a JSON object.", code="invalid_type"))
    model = meant or _model(decoded)
    if decoded.get("model") != model:
        decoded = {**decoded, "model": model}
        body = _encoded(decoded)
    stream = _stream(decoded) if may_stream else False
    if not stream:
        return Asked(model, stream=False, strip_usage=False, body=body)
    options = _stream_options(decoded)
    if options.get("include_usage") is True:
        return Asked(model, stream=True, strip_usage=False, body=body)
    with_usage = {**decoded, "stream_options": {**options, "include_usage": True}}
    return Asked(model, stream=True, strip_usage=True, body=_encoded(with_usage))


def read_form(values: Mapping[bytes, bytes], body: FormBody) -> Asked:
    """What the fields of a form ask for.

    Raises:
        Refused: they name no model.
    """
    try:
        fields = {name.decode(): value.decode() for name, value in values.items()}
    except UnicodeDecodeError:
        raise Refused(invalid("The fields of the form must be UTF-8.", code="invalid_form")) from None
    stream = fields.get("stream", "").lower() in ("true", "1")
    return Asked(_model(fields), stream=stream, strip_usage=False, body=body)


def with_model(body: bytes | FormBody, model: str) -> bytes | FormBody:
    """A body of `Asked`, asking for `model` instead."""
    if isinstance(body, FormBody):
        return replace(body, model=model)
    decoded = as_object(pydantic_core.from_json(body, allow_inf_nan=False)) or {}
    return _encoded({**decoded, "model": model})


def read_usage(payload: JsonObject) -> Usage | None:
    """The usage that an answer, or an event of one, carries; None without any."""
    usage = as_object(payload.get("usage"))
    if usage is None:
        return None
    if usage.get("type") == "duration":
        return _audio(usage.get("seconds"))
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if not _is_count(prompt) or not _is_count(completion):
        return None
    return Usage(prompt, completion)


def read_audio_seconds(header: str) -> Usage | None:
    """The same from the header of an answer that has no place for it in its body."""
    try:
        return _audio(float(header))
    except ValueError:
        return None


def as_object(value: object) -> JsonObject | None:
    """`value` if it is a JSON object."""
    return value if _is_object(value) else None


def _encoded(decoded: JsonObject) -> bytes:
    return json.dumps(decoded, ensure_ascii=False, separators=(",", ":")).encode()


def _model(decoded: JsonObject) -> str:
    model = decoded.get("model")
    if model is None:
        raise Refused(
            invalid("You must provide a model parameter.", code="missing_required_parameter", param="model")
        )
    if not isinstance(model, str):
        raise Refused(invalid("'model' must be a string.", code="invalid_type", param="model"))
    if not 0 < len(model) <= MODEL_LENGTH_MAX:
        message = f"'model' must have 1 to {MODEL_LENGTH_MAX} characters."
        raise Refused(invalid(message, code="invalid_value", param="model"))
    return model


def _stream(decoded: JsonObject) -> bool:
    stream = decoded.get("stream")
    if stream is None or isinstance(stream, bool):
        return bool(stream)
    raise Refused(invalid("'stream' must be a boolean.", code="invalid_type", param="stream"))


def _stream_options(decoded: JsonObject) -> JsonObject:
    given = decoded.get("stream_options")
    options = {} if given is None else as_object(given)
    if options is None:
        raise Refused(
            invalid("'stream_options' must be an object.", code="invalid_type", param="stream_options")
        )
    return options


def _audio(seconds: object) -> Usage | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return Usage(audio_seconds=math.ceil(seconds)) if 0 <= seconds < 1e9 else None


def _is_object(value: object) -> TypeGuard[JsonObject]:
    # JSON objects have only string keys, so the type is known once it is a dict.
    return isinstance(value, dict)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
