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
TYPE_BASE = "https://hostler.dev/problems/"


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
        retry_after_seconds: When trying again may help; None where it won't.
    """

    slug: str
    title: str
    status: int
    retry_after_seconds: float | None = None


INVALID = Problem("invalid-request", "The request is not valid", 400)
UNAUTHORIZED = Problem("unauthorized", "The API key is missing or not valid", 401)
FORBIDDEN = Problem("forbidden", "The API key may not do this", 403)
NOT_FOUND = Problem("not-found", "There is no such thing", 404)
METHOD_NOT_ALLOWED = Problem("method-not-allowed", "This method is not possible here", 405)
CONFLICT = Problem("conflict", "The present state does not allow it", 409)
PRECONDITION_FAILED = Problem("precondition-failed", "It is not as the caller knew it", 412)
TOO_LARGE = Problem("too-large", "The request is too large", 413)
IDEMPOTENCY_MISMATCH = Problem(
    "idempotency-key-reused", "The idempotency key belongs to another request", 422
)
UNAVAILABLE = Problem("unavailable", "It can't be done right now", 503, 1.0)
STORAGE_FULL = Problem("storage-full", "The event log has no room", 503, 30.0)
INTERNAL = Problem("internal", "Something went wrong inside", 500)

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
