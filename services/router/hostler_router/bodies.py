"""What the router reads in bodies: a few fields of a request, the usage of an answer. Everything else travels as it came.

Pure; called by the request and by its tries.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Final, TypeGuard

import msgspec

from hostler_contracts.usage_records import COUNT_MAX
from hostler_router.json_reading import Edit, Members, insertion, read_body, read_members, spliced
from hostler_router.openai_errors import ErrorReply, Refused, invalid
from hostler_router.resumable import is_resumable
from hostler_router.upload_spool import FormBody

JsonObject = Mapping[str, object]
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


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What one answer took, as the runtime counted it: tokens, or begun seconds of audio.

    `cached_tokens` are those of the prompt that the runtime had at hand; None where it does not say.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_seconds: int = 0
    cached_tokens: int | None = None


_Count = Annotated[int, msgspec.Meta(ge=0, lt=COUNT_MAX)]


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None


class _Tokens(msgspec.Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count = 0
    prompt_tokens_details: _Details | None = None
    type: str | None = None
    input_tokens: int | None = None


class _Counted(msgspec.Struct, gc=False):
    """An answer whose usage is told in the words that nearly all of them use."""

    usage: _Tokens


class _Answer(msgspec.Struct, gc=False):
    usage: dict[str, object] | None = None


_COUNTED: Final = msgspec.json.Decoder(_Counted)
_ANSWER: Final = msgspec.json.Decoder(_Answer)
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)


@lru_cache(maxsize=256)
def _written(model: str) -> bytes:
    return msgspec.json.encode(model)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request for inference. A struct of msgspec because one is made for every request, in a fifteenth of the time.

    Attributes:
        model: Which job, in any of the ways to name one.
        stream: Whether the answer shall come as events.
        strip_usage: The usage in the stream was asked for by the router, so the client does not get it.
        body: What the replica gets.
        members: Of `body`, if that is JSON and just as it came.
        model_at: Where the model's name stands in `body`, with its quotes, if that is JSON and was changed: `members` would keep alive what came.
        prompt_at: Likewise what is asked.
        priority: As the client put it; by vLLM's rule less is earlier.
        flex: The client lets others go first (OpenAI's `service_tier`).
        n: How many answers it wants.
        tokens_max: Longest answer, all `n` of them together; None where the client does not say.
        resumable: Another replica may go on where one broke off.
    """

    model: str
    stream: bool
    strip_usage: bool
    body: bytes | FormBody
    members: Members | None = None
    model_at: tuple[int, int] = (0, 0)
    prompt_at: tuple[int, int] = (0, 0)
    priority: int = 0
    flex: bool = False
    n: int = 1
    tokens_max: int | None = None
    resumable: bool = False

    @property
    def content_type(self) -> str:
        """Of the body."""
        return self.body.content_type if isinstance(self.body, FormBody) else "application/json"

    def prefix_of(self, chars: int) -> bytes:
        """The beginning of what is asked, as it is written: a byte for a character, more where they are not ASCII."""
        if isinstance(self.body, FormBody):
            return b""
        begin, end = self.prompt_at if self.members is None else _prompt_at(self.members)
        return self.body[begin : min(begin + chars, end)]

    def body_naming(self, model: str) -> bytes | FormBody:
        """The body, asking for `model` instead."""
        if isinstance(self.body, FormBody):
            return replace(self.body, model=model)
        if self.members is not None:
            return self.members.replaced(self.body, "model", _written(model))
        return spliced(self.body, ((*self.model_at, _written(model)),))


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
        model_at, prompt_at = _moved(members.span("model"), edit), _moved(_prompt_at(members), edit)
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


def with_model(body: bytes | FormBody, model: str) -> bytes | FormBody:
    """A body of `Asked`, asking for `model` instead; `Asked.body_naming` does the same and knows where to look."""
    if isinstance(body, FormBody):
        return replace(body, model=model)
    return _naming(body, read_members(body), model)


def read_usage(payload: JsonObject) -> Usage | None:
    """The usage that an answer, or an event of one, carries; None without any."""
    usage = as_object(payload.get("usage"))
    if usage is None:
        return None
    if usage.get("type") == "duration":
        return _audio(usage.get("seconds"))
    # The newer routes call the same things input and output.
    said_in, said_out = ("input", "output") if "input_tokens" in usage else ("prompt", "completion")
    prompt, completion = usage.get(f"{said_in}_tokens"), usage.get(f"{said_out}_tokens", 0)
    if not _is_count(prompt) or not _is_count(completion):
        return None
    details = as_object(usage.get(f"{said_in}_tokens_details"))
    cached = None if details is None else details.get("cached_tokens")
    return Usage(prompt, completion, cached_tokens=cached if _is_count(cached) else None)


def read_usage_of(content: bytes) -> Usage | None:
    """The usage of a whole answer, which is read only so far as to see that it is whole.

    Raises:
        msgspec.DecodeError: it is no JSON.
    """
    try:
        counted = _COUNTED.decode(content).usage
    except msgspec.ValidationError:
        pass  # in other words, or not at all
    else:
        if counted.type is None and counted.input_tokens is None:  # nothing beside them says it otherwise
            details = counted.prompt_tokens_details
            cached = None if details is None else details.cached_tokens
            return Usage(counted.prompt_tokens, counted.completion_tokens, 0, cached)
    try:
        answer = _ANSWER.decode(content)
    except msgspec.ValidationError:
        _ANY.decode(content)
        return None
    return None if answer.usage is None else read_usage({"usage": answer.usage})


def read_audio_seconds(header: str) -> Usage | None:
    """The same from the header of an answer that has no place for it in its body."""
    try:
        return _audio(float(header))
    except ValueError:
        return None


def as_object(value: object) -> JsonObject | None:
    """`value` if it is a JSON object."""
    return value if _is_object(value) else None


def _naming(body: bytes, members: Members, model: str) -> bytes:
    encoded = msgspec.json.encode(model)
    if "model" in members.values:
        return spliced(body, ((*members.span("model"), encoded),))
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


def _prompt_at(members: Members) -> tuple[int, int]:
    spans = members.spans(_PROMPTS)
    return spans.get("messages") or spans.get("prompt") or spans.get("input") or (0, 0)


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
    begin, end = members.span("stream_options")
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
    at, until = options.span("include_usage")
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


def _audio(seconds: object) -> Usage | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return Usage(audio_seconds=math.ceil(seconds)) if 0 <= seconds < 1e9 else None


def _is_object(value: object) -> TypeGuard[JsonObject]:
    # JSON objects have only string keys, so the type is known once it is a dict.
    return isinstance(value, dict)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < COUNT_MAX
