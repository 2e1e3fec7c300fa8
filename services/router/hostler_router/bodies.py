"""What the router reads in the body of a request: a few fields. Everything else travels as it came.

Pure; called by the request and by its tries.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from hostler_router.asked import Asked
from hostler_router.json_changes import Edit, insertion, replaced, span, spans, spliced
from hostler_router.json_reading import read_body, read_members
from hostler_router.members import Members
from hostler_router.openai_errors import ErrorReply, Refused, invalid
from hostler_router.resumable import is_resumable
from hostler_router.upload_spool import FormBody

MODEL_LENGTH_MAX: Final = 512

_NUMBER_BYTES_MAX: Final = 20
_WANTED: Final = b'"include_usage":true'
_NULL: Final = b"null"
_TRUE: Final = b"true"
_FALSE: Final = b"false"
_NO_MODEL: Final = invalid(
    "You must provide a model parameter.", code="missing_required_parameter", param="model"
)
_BAD_LENGTH: Final = invalid(
    f"'model' must have 1 to {MODEL_LENGTH_MAX} characters.", code="invalid_value", param="model"
)
_NO_TEXT: Final = invalid("'model' must be a string.", code="invalid_type", param="model")
_MODEL: Final = msgspec.json.Decoder(Annotated[str, msgspec.Meta(min_length=1, max_length=MODEL_LENGTH_MAX)])
_TEXT: Final = msgspec.json.Decoder(str)
_NUMBER: Final = msgspec.json.Decoder(int | float)
_TELL_USAGE: Final = frozenset({"/v1/responses"})
"""Routes whose streams end with the usage unasked, and that don't know the option which asks for it."""
_PROMPTS: Final = ("messages", "prompt", "input")
"""What is asked, by whichever of these names is there."""
_OPTIONS: Final = frozenset({"best_of", "n", "priority", "service_tier"})
"""What is read beside its length of a request that asks for no stream."""


def read_request(body: bytes, *, may_stream: bool, meant: str | None = None, route: str = "") -> Asked:
    """What is asked for.

    The body stays as it came, but for the model that the head names, and for a stream whose client does not want its usage: the
    runtime is asked for it all the same, because load and bills are counted from it.

    Args:
        body: As it came.
        may_stream: Whether the route knows streams.
        meant: The model that the request's head names; it goes before the body's, and into the body.
        route: Its path, which says whether the answer can be resumed.

    Raises:
        Refused: it is no JSON object, or names no model, or something twice.
    """
    members = read_body(body)
    if meant and not _says(members.values.get("model"), meant):
        body = _naming(body, members, meant)
        members = read_members(body)
    values = members.values
    try:
        model = _MODEL.decode(values["model"])
    except (KeyError, msgspec.ValidationError):
        raise Refused(_not_a_model(values.get("model"))) from None
    stream = may_stream and "stream" in values and _stream(values["stream"])
    if not stream and _OPTIONS.isdisjoint(values):
        return Asked(model, False, False, body, members, tokens_max=_tokens_max(values))
    edit = _asking_for_usage(body, members) if stream and route not in _TELL_USAGE else None
    model_at = prompt_at = (0, 0)
    if edit is not None:
        model_at, prompt_at = _moved(span(members, "model"), edit), _moved(_prompt_span(members), edit)
        body = spliced(body, (edit,))
    n = _integer(values.get("n")) or 1
    tokens_max = _tokens_max(values)
    if tokens_max is not None:
        tokens_max *= max(n, _integer(values.get("best_of")) or 1, 1)
    return Asked(
        model,
        stream,
        edit is not None,
        body,
        members if edit is None else None,
        model_at,
        prompt_at,
        priority=_integer(values.get("priority")) or 0,
        flex=_is(values.get("service_tier"), b'"flex"'),
        n=n,
        tokens_max=tokens_max,
        resumable=stream and n == 1 and is_resumable(route, values),
    )


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
    model = fields.get("model")
    if model is None:
        raise Refused(_NO_MODEL)
    named = replace(body, model=_checked(model))
    return Asked(model, stream=stream, strip_usage=False, body=named)


def prefix_of(asked: Asked, chars: int) -> bytes:
    """The beginning of the prompt, as it is written: a byte for a character, more where they are not ASCII."""
    if isinstance(asked.body, FormBody):
        return b""
    begin, end = asked.prompt_at if asked.members is None else _prompt_span(asked.members)
    return asked.body[begin : min(begin + chars, end)]


def body_naming(asked: Asked, model: str) -> bytes | FormBody:
    """The body of what is asked, asking for `model` instead."""
    if isinstance(asked.body, FormBody):
        return replace(asked.body, model=model)
    if asked.members is not None:
        return replaced(asked.members, asked.body, "model", _written(model))
    return spliced(asked.body, ((*asked.model_at, _written(model)),))


def with_model(body: bytes | FormBody, model: str) -> bytes | FormBody:
    """A body of `Asked`, asking for `model` instead; `body_naming` does the same and knows where to look."""
    if isinstance(body, FormBody):
        return replace(body, model=model)
    return _naming(body, read_members(body), model)


def _naming(body: bytes, members: Members, model: str) -> bytes:
    encoded = msgspec.json.encode(model)
    if "model" in members.values:
        return spliced(body, ((*span(members, "model"), encoded),))
    return spliced(body, (insertion(body, members, b'"model":' + encoded),))


def _says(given: msgspec.Raw | None, model: str) -> bool:
    try:
        return given is not None and _TEXT.decode(given) == model
    except msgspec.ValidationError:
        return False


def _not_a_model(given: msgspec.Raw | None) -> ErrorReply:
    """What is wrong with a model that can't be one."""
    if given is None or _is(given, _NULL):
        return _NO_MODEL
    return _BAD_LENGTH if bytes(memoryview(given)[:1]) == b'"' else _NO_TEXT


def _checked(model: str) -> str:
    if not 0 < len(model) <= MODEL_LENGTH_MAX:
        raise Refused(_BAD_LENGTH)
    return model


def _prompt_span(members: Members) -> tuple[int, int]:
    """Where what is asked begins and ends."""
    found = spans(members, _PROMPTS)
    return found.get("messages") or found.get("prompt") or found.get("input") or (0, 0)


@lru_cache(maxsize=256)
def _written(model: str) -> bytes:
    return msgspec.json.encode(model)


def _stream(given: msgspec.Raw | None) -> bool:
    if given is None or _is(given, _NULL) or _is(given, _FALSE):
        return False
    if _is(given, _TRUE):
        return True
    raise Refused(invalid("'stream' must be a boolean.", code="invalid_type", param="stream"))


def _asking_for_usage(body: bytes, members: Members) -> Edit | None:
    """What makes the runtime end the stream with its usage; None where the client has asked for that."""
    given = members.values.get("stream_options")
    if given is None:
        return insertion(body, members, b'"stream_options":{' + _WANTED + b"}")
    begin, end = span(members, "stream_options")
    if _is(given, _NULL):
        return begin, end, b"{" + _WANTED + b"}"
    text = bytes(given)
    try:
        options = read_members(text)
    except msgspec.ValidationError:
        message = "'stream_options' must be an object."
        raise Refused(invalid(message, code="invalid_type", param="stream_options")) from None
    wanted = options.values.get("include_usage")
    if wanted is None:
        at, _, added = insertion(text, options, _WANTED)
        return begin + at, begin + at, added
    if _is(wanted, _TRUE):
        return None
    at, until = span(options, "include_usage")
    return begin + at, begin + until, _TRUE


def _tokens_max(values: Mapping[str, msgspec.Raw]) -> int | None:
    """Longest of its answers."""
    newer = values.get("max_completion_tokens")
    tokens = None if newer is None else _integer(newer)
    return _integer(values.get("max_tokens")) if tokens is None else tokens


def _moved(span: tuple[int, int], edit: Edit) -> tuple[int, int]:
    """Where a span is after the edit of something else."""
    if span[0] <= edit[0]:
        return span
    begin, end, instead = edit
    longer = len(instead) - (end - begin)
    return span[0] + longer, span[1] + longer


def _integer(given: msgspec.Raw | None) -> int | None:
    """A whole number, also one written as 1.0; None for anything else, which the runtime refuses."""
    if given is None or len(given) > _NUMBER_BYTES_MAX:
        return None
    try:
        number = _NUMBER.decode(given)
    except msgspec.DecodeError:
        return None
    return number if isinstance(number, int) else int(number) if number == int(number) else None


def _is(given: msgspec.Raw | None, literal: bytes) -> bool:
    return given is not None and len(given) == len(literal) and bytes(given) == literal
