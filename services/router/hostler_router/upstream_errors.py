"""What runtimes call an error, turned into OpenAI's shape.

vLLM, llama.cpp and the frameworks beneath them each have a shape of their own (an integer code, an error that is a string,
FastAPI's `detail`). Clients map errors by status and read `code` as a string, so they get one shape.
"""

from dataclasses import replace
from typing import Final

import pydantic_core

from hostler_router.answer_usage import JsonObject, as_object
from hostler_router.openai_errors import (
    INVALID_REQUEST,
    REPLICA_FAILED,
    REPLICA_MISCONFIGURED,
    REPLICAS_UNREACHABLE,
    SERVER_ERROR,
    ErrorReply,
)

_MESSAGE_LENGTH_MAX: Final = 2000
_DETAILS_MAX: Final = 10
_RETRY_AFTER_SECONDS_MAX: Final = 120
_CONTEXT_LENGTH_SIGNS: Final = ("exceed_context_size", "context length", "context size", "context window")
TRY_ELSEWHERE: Final = frozenset({502, 503})
"""Statuses by which a replica says that it can't take the request now; another one may."""


def normalised(status: int, content: bytes, retry_after: str | None = None) -> ErrorReply:
    """The error that a client gets for an answer of a runtime that is not a success.

    | status            | becomes                | tried again |
    | ----------------- | ---------------------- | ----------- |
    | 401, 403          | 502: it is the router's key that was refused, not the client's | no |
    | below 400         | 502                    | no          |
    | 502, 503          | 503 no_ready_replica   | yes         |
    | 429               | the same               | yes         |
    | other 4xx         | the same               | no          |
    | 501, 504          | the same               | no          |
    | other 5xx         | the same               | yes         |
    """
    if status in (401, 403) or status < 400:
        return REPLICA_MISCONFIGURED
    if status in TRY_ELSEWHERE:
        return replace(
            REPLICAS_UNREACHABLE,
            message="No replica of this model can take the request now; try again shortly.",
        )
    message, kind, code, param = _read(content)
    if status == 400 and _is_context_length(message, kind):
        code = "context_length_exceeded"
    return ErrorReply(
        status=status,
        message=message or f"The runtime answered with status {status}.",
        type=_type(status),
        code=code,
        param=param,
        retry_after_seconds=_seconds(retry_after) if status in (429, 500) else None,
        should_retry=status == 429 or (status >= 500 and status not in (501, 504)),
    )


def in_stream(payload: JsonObject) -> ErrorReply:
    """The error of an event that a runtime put in the middle of a stream."""
    message, _, code, param = _fields(payload)
    return replace(
        REPLICA_FAILED, message=message or REPLICA_FAILED.message, code=code or "runtime_error", param=param
    )


def _read(content: bytes) -> tuple[str, str, str | None, str | None]:
    try:
        decoded = as_object(pydantic_core.from_json(content))
    except ValueError:
        decoded = None
    if decoded is None:
        return _cut(content.decode(errors="replace")), "", None, None
    return _fields(decoded)


def _fields(payload: JsonObject) -> tuple[str, str, str | None, str | None]:
    """Message, kind, code and parameter, from whichever of the known shapes this is."""
    error = payload.get("error")
    inner = as_object(error) or payload
    message = error if isinstance(error, str) else inner.get("message") or _said(payload.get("detail"))
    kind, code, param = inner.get("type"), inner.get("code"), inner.get("param")
    return (
        _cut(message) if isinstance(message, str) else "",
        kind if isinstance(kind, str) else "",
        code if isinstance(code, str) else None,
        param if isinstance(param, str) else None,
    )


def _said(detail: object) -> object:
    """FastAPI's detail: a text, or a list of what is wrong with which field."""
    if not isinstance(detail, list):
        return detail
    said: list[str] = []
    for each in detail[:_DETAILS_MAX]:
        wrong = as_object(each)
        text = None if wrong is None else wrong.get("msg")
        if wrong is None or not isinstance(text, str):
            continue
        where = wrong.get("loc")
        place = ".".join(str(part) for part in where if part != "body") if isinstance(where, list) else ""
        said.append(f"{place}: {text}" if place else text)
    return "; ".join(said)


def is_error(payload: JsonObject) -> bool:
    """Whether an event is a runtime's error, in any of the known shapes, rather than a piece of an answer."""
    if payload.get("choices"):
        return False
    return bool(payload.get("error")) or payload.get("object") == "error"


def _is_context_length(message: str, kind: str) -> bool:
    text = f"{kind} {message}".lower()
    return any(sign in text for sign in _CONTEXT_LENGTH_SIGNS)


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return INVALID_REQUEST if status < 500 else SERVER_ERROR


def _seconds(retry_after: str | None) -> int | None:
    if retry_after is None or not retry_after.isascii() or not retry_after.isdigit():
        return None
    return min(int(retry_after), _RETRY_AFTER_SECONDS_MAX)


def _cut(message: str) -> str:
    return message if len(message) <= _MESSAGE_LENGTH_MAX else message[:_MESSAGE_LENGTH_MAX] + "..."
