"""The usage that answers carry, and how to find it in them.

Pure; called where answers pass, whole or as events. Structs of msgspec stand here and not where they are used, so that those modules can be
compiled (pyproject.toml says which are).
"""

import math
from collections.abc import Mapping
from typing import Annotated, Final, TypeGuard

import msgspec

from hostler_contracts.usage_records import COUNT_MAX

JsonObject = Mapping[str, object]


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


def _audio(seconds: object) -> Usage | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return Usage(audio_seconds=math.ceil(seconds)) if 0 <= seconds < 1e9 else None


def _is_object(value: object) -> TypeGuard[JsonObject]:
    # JSON objects have only string keys, so the type is known once it is a dict.
    return isinstance(value, dict)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < COUNT_MAX
