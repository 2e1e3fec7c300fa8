"""Errors as answers: RFC 9457 problem documents natively, and in its own form wherever a dialect has one.

Every answer has the request's id; one about fields points at each of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hostler_api.access import OpenToAll
from hostler_api.allowed_methods import AllowedMethods, not_allowed
from hostler_api.openapi import ErrorForm, headers
from hostler_api.problem_catalogue import (
    BY_STATUS,
    CATALOGUE,
    INTERNAL,
    INVALID,
    METHOD_NOT_ALLOWED,
    Occurrence,
    occurrence_of,
)
from hostler_domain.errors import FieldError, HostlerError, NotFound
from hostler_domain.redaction import redact

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "/problems/"
"""Types are relative addresses: the api itself serves a page about each."""

Render = Callable[[Request, Occurrence], Response]
"""How one surface says what went wrong."""


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str
    pointer: str = Field(description="The same field as a JSON pointer.")


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Address of a page about this kind of problem.")
    title: str
    status: int
    detail: str
    request_id: str | None
    errors: list[FieldProblem] = Field(
        default=[], description="Every field that is wrong, where it is about fields."
    )


class ProblemMeaning(BaseModel):
    """What a kind of problem means and what to do about it."""

    type: str
    title: str
    status: int
    retry_after_seconds: float | None
    meaning: str


FORM = ErrorForm("/", MEDIA_TYPE, ProblemDocument, INVALID.status, ProblemDocument)
"""Of everything that belongs to no dialect."""
_ANSWERS = {
    status: {"description": text, "content": FORM.content(status)}
    for status, text in (
        (400, "A field is wrong; each is named"),
        (401, "The API key is missing or not valid"),
        (403, "The API key may not do this"),
        (404, "There is no such thing for this caller"),
        (409, "The present state, or a thing of the same name, does not allow it"),
        (412, "It is not at the revision that If-Match names"),
        (413, "The request is too large"),
        (422, "The idempotency key belongs to another request"),
        (503, "It can't be done right now; see Retry-After"),
    )
}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the description of a route says about these answers."""
    return {status: dict(_ANSWERS[status]) for status in statuses}


def answered(status: int, description: str, *header_names: str) -> dict[int | str, dict[str, Any]]:
    """What the description of a route says about the headers of its answer."""
    return {status: {"description": description, "headers": headers(*header_names)}}


def native_problem(request: Request, occurrence: Occurrence) -> JSONResponse:
    """The RFC 9457 document of one occurrence."""
    problem = occurrence.problem
    body: dict[str, object] = {
        "type": TYPE_BASE + problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": occurrence.detail,
        "request_id": getattr(request.state, "request_id", None),
    }
    if occurrence.errors:
        body["errors"] = [
            {"field": each.field, "message": each.message, "pointer": _pointer(each.field)}
            for each in occurrence.errors
        ]
    return JSONResponse(body, problem.status, occurrence.headers, media_type=MEDIA_TYPE)


def renderer(dialects: Sequence[tuple[str, Render]]) -> Render:
    """The form of errors for any request: a dialect's under its prefix, problem documents elsewhere."""

    def answer(request: Request, occurrence: Occurrence) -> Response:
        # Only the form hangs on the path, never what is allowed.
        path: str = request.scope["path"]
        render = next((form for prefix, form in dialects if path.startswith(prefix)), native_problem)
        return render(request, _without_secrets(occurrence))

    return answer


def add_problem_handlers(app: FastAPI, answer: Render, allowed: AllowedMethods) -> None:
    """Answer every error of `app` in the form that `answer` gives it."""

    async def domain_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, HostlerError):
            return answer(request, Occurrence(INTERNAL, "the error was logged under the request's id"))
        return answer(request, occurrence_of(error))

    async def body_error(request: Request, error: Exception) -> Response:
        errors = _field_errors(error) if isinstance(error, RequestValidationError) else ()
        detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
        return answer(request, Occurrence(INVALID, detail, errors))

    async def http_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = f"{request.method} {request.url.path} is not a route of this API"
        if status == INVALID.status:
            detail = "the body can't be read"
        if status == METHOD_NOT_ALLOWED.status:
            return not_allowed(request, allowed.of(request.scope["path"]), answer)
        return answer(request, Occurrence(BY_STATUS.get(status, INTERNAL), detail))

    def about_problem(slug: str) -> ProblemMeaning:
        """What a type of problem means."""
        problem = CATALOGUE.get(slug)
        if problem is None:
            raise NotFound(f"there is no type of problem {slug!r}")
        return ProblemMeaning(
            type=TYPE_BASE + problem.slug,
            title=problem.title,
            status=problem.status,
            retry_after_seconds=problem.retry_after_seconds,
            meaning=problem.meaning,
        )

    open_to_all = Depends(OpenToAll("what the type of a problem leads to"))
    app.add_api_route(TYPE_BASE + "{slug}", about_problem, tags=["problems"], dependencies=[open_to_all])
    app.add_exception_handler(HostlerError, domain_error)
    app.add_exception_handler(RequestValidationError, body_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, domain_error)


def _without_secrets(occurrence: Occurrence) -> Occurrence:
    """Errors quote what a user wrote, and a user may have written a token into the wrong field."""
    errors = tuple(FieldError(redact(each.field), redact(each.message)) for each in occurrence.errors)
    return replace(occurrence, detail=redact(occurrence.detail), errors=errors)


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
