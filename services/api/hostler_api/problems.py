"""Errors as RFC 9457 problem documents: the only place where the domain's errors become HTTP.

The catalogue below is the whole of it. Every document has the request's id; one about fields points at each of them.
"""

from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hostler_bus.errors import BusUnavailable, StreamFull
from hostler_domain.errors import Conflict, FieldError, HostlerError, InvalidFields, NotFound, TemporaryError

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "/problems/"
"""Types are relative addresses: the api itself serves a page about each."""


class Unauthorized(HostlerError):
    """The caller is not known."""


class Forbidden(HostlerError):
    """The caller is known and may not do this."""


class IdempotencyMismatch(HostlerError):
    """An idempotency key came again with another request."""


class Overtaken(HostlerError):
    """The job is not as the caller knew it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error.

    Attributes:
        slug: Last part of its type's address.
        title: The same for every occurrence.
        status: Of the answer.
        meaning: What it says and what to do, for the page that its type leads to.
        retry_after_seconds: When trying again may help; None where it won't.
    """

    slug: str
    title: str
    status: int
    meaning: str
    retry_after_seconds: float | None = None


INVALID = Problem(
    "invalid-request",
    "The request is not valid",
    400,
    "Some fields make no sense. `errors` names each with what would be right; nothing was done.",
)
UNAUTHORIZED = Problem(
    "unauthorized",
    "The API key is missing or not valid",
    401,
    "Send a key as `Authorization: Bearer hsk_...` or `X-API-Key`; this one is missing, mistyped, unknown, revoked or expired.",
)
FORBIDDEN = Problem(
    "forbidden",
    "The API key may not do this",
    403,
    "The key is good but lacks the scope, or belongs to another project.",
)
NOT_FOUND = Problem(
    "not-found",
    "There is no such thing",
    404,
    "It does not exist, or not for this key: another project's jobs read as absent.",
)
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed", "This method is not possible here", 405, "The address exists, with other methods."
)
CONFLICT = Problem(
    "conflict", "The present state does not allow it", 409, "Read what is there now, and decide again."
)
PRECONDITION_FAILED = Problem(
    "precondition-failed",
    "It is not as the caller knew it",
    412,
    "It changed since the revision that If-Match names. Read it again, and decide again; nothing was done.",
)
TOO_LARGE = Problem("too-large", "The request is too large", 413, "Nothing of it was read to the end.")
IDEMPOTENCY_MISMATCH = Problem(
    "idempotency-key-reused",
    "The idempotency key belongs to another request",
    422,
    "The same key came within 24 hours with another body. Use a new key for a new request.",
)
UNAVAILABLE = Problem(
    "unavailable",
    "It can't be done right now",
    503,
    "The event log, or the service that was asked, did not answer in time. Send the same request again, with the same Idempotency-Key where it creates something.",
    retry_after_seconds=1.0,
)
STORAGE_FULL = Problem(
    "storage-full",
    "The event log has no room",
    503,
    "Nothing was stored and nothing is half-done. An operator has to make room.",
    retry_after_seconds=30.0,
)
INTERNAL = Problem(
    "internal",
    "Something went wrong inside",
    500,
    "A bug. It was logged under the request's id; please report it with that.",
)

CATALOGUE = {
    each.slug: each
    for each in (
        INVALID,
        UNAUTHORIZED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        PRECONDITION_FAILED,
        TOO_LARGE,
        IDEMPOTENCY_MISMATCH,
        UNAVAILABLE,
        STORAGE_FULL,
        INTERNAL,
    )
}
_BY_STATUS = {
    each.status: each for each in (INVALID, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE)
}
# The first row that fits: a subclass stands above its parent.
_BY_ERROR: tuple[tuple[type[HostlerError], Problem], ...] = (
    (InvalidFields, INVALID),
    (Unauthorized, UNAUTHORIZED),
    (Forbidden, FORBIDDEN),
    (NotFound, NOT_FOUND),
    (Conflict, CONFLICT),
    (Overtaken, PRECONDITION_FAILED),
    (IdempotencyMismatch, IDEMPOTENCY_MISMATCH),
    (StreamFull, STORAGE_FULL),
    (BusUnavailable, UNAVAILABLE),
    (TemporaryError, UNAVAILABLE),
)


_ANSWERS = {
    status: {"description": text, "content": {MEDIA_TYPE: {}}}
    for status, text in (
        (400, "A field is wrong; each is named"),
        (401, "The API key is missing or not valid"),
        (403, "The API key may not do this"),
        (404, "There is no such thing for this caller"),
        (409, "The present state, or a job of the same name, does not allow it"),
        (412, "The job is not at the revision that If-Match names"),
        (422, "The idempotency key belongs to another request"),
        (503, "It can't be done right now; see Retry-After"),
    )
}


def described(*statuses: int) -> dict[int | str, dict[str, object]]:
    """What the description of a route says about these answers."""
    return {status: dict(_ANSWERS[status]) for status in statuses}


def problem_for(error: HostlerError) -> Problem:
    """The kind of problem that a domain error is."""
    return next((problem for kind, problem in _BY_ERROR if isinstance(error, kind)), INTERNAL)


def problem_response(
    request: Request, problem: Problem, detail: str, errors: tuple[FieldError, ...] = ()
) -> JSONResponse:
    """The document of one occurrence."""
    headers: dict[str, str] = {}
    if problem.retry_after_seconds is not None:
        headers["Retry-After"] = f"{max(round(problem.retry_after_seconds), 1)}"
    if problem is UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body: dict[str, object] = {
        "type": TYPE_BASE + problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "request_id": getattr(request.state, "request_id", None),
    }
    if errors:
        body["errors"] = [
            {"field": each.field, "message": each.message, "pointer": _pointer(each.field)} for each in errors
        ]
    return JSONResponse(body, problem.status, headers, media_type=MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    async def domain_error(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HostlerError):
            return problem_response(request, INTERNAL, "the error was logged under the request's id")
        problem = problem_for(error)
        errors = error.errors if isinstance(error, InvalidFields) else ()
        return problem_response(request, problem, str(error), errors)

    async def body_error(request: Request, error: Exception) -> JSONResponse:
        errors = _field_errors(error) if isinstance(error, RequestValidationError) else ()
        detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
        return problem_response(request, INVALID, detail, errors)

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = f"{request.method} {request.url.path} is not a route of this API"
        return problem_response(request, _BY_STATUS.get(status, INTERNAL), detail)

    def about(slug: str) -> dict[str, object]:
        """What a type of problem means."""
        problem = CATALOGUE.get(slug)
        if problem is None:
            raise NotFound(f"there is no type of problem {slug!r}")
        return {
            "type": TYPE_BASE + problem.slug,
            "title": problem.title,
            "status": problem.status,
            "retry_after_seconds": problem.retry_after_seconds,
            "meaning": problem.meaning,
        }

    app.add_api_route(TYPE_BASE + "{slug}", about, include_in_schema=False)
    app.add_exception_handler(HostlerError, domain_error)
    app.add_exception_handler(RequestValidationError, body_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, domain_error)


def _field_errors(error: RequestValidationError) -> tuple[FieldError, ...]:
    """FastAPI's list as ours: the field as the user wrote it, and no echo of what was sent, which may be a secret."""
    found = []
    for each in error.errors():
        where = [str(part) for part in each["loc"] if part not in ("body", "query", "path", "header")]
        message = "is not a known field" if each["type"] == "extra_forbidden" else str(each["msg"])
        found.append(FieldError(".".join(where) or "body", message))
    return tuple(found)


def _pointer(field: str) -> str:
    """JSON pointer of a dotted field, RFC 6901."""
    return "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in field.split("."))
