"""Lyceum's form of errors: `{"detail": ...}`, a sentence or, for fields, a list of what is wrong with each.

A request whose fields make no sense is 422 here, as its clients expect, where it is 400 natively.
"""

import re
from collections.abc import Iterable
from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse

from hostler_api.problem_catalogue import INVALID, Occurrence
from hostler_domain.errors import FieldError

INVALID_STATUS: Final = 422
_FOLLOW: Final = frozenset({"scaling.initial_replicas", "scaling.activation_replicas"})
"""Nobody can set these here; they are wrong only where the bounds are, which is said already."""
_NATIVE_FIELDS: Final = (
    (re.compile(r"model"), "hf_model_id"),
    (re.compile(r"scaling\.(min_replicas|max_replicas)"), r"\1"),
    (re.compile(r"scaling\.stabilisation_window_seconds"), "stabilisation_window"),
    (re.compile(r"serving\.args(?:\..*)?"), "vllm_args"),
)


def lyceum_error(request: Request, occurrence: Occurrence) -> JSONResponse:
    """One occurrence as Lyceum says it."""
    problem = occurrence.problem
    if problem is not INVALID:
        return JSONResponse({"detail": occurrence.detail}, problem.status, occurrence.headers)
    if not occurrence.errors:
        return JSONResponse({"detail": occurrence.detail}, INVALID_STATUS)
    where = "query" if request.method == "GET" else "body"
    return JSONResponse({"detail": field_list(where, occurrence.errors)}, INVALID_STATUS)


def field_list(where: str, errors: Iterable[FieldError]) -> list[dict[str, object]]:
    """What is wrong with each field, under the dialect's own names and without an echo of what was sent."""
    return [
        {"type": "value_error", "loc": [where, *_parts(each.field)], "msg": each.message}
        for each in errors
        if each.field not in _FOLLOW
    ]


def _parts(field: str) -> list[str]:
    named = next((form.sub(name, field) for form, name in _NATIVE_FIELDS if form.fullmatch(field)), field)
    return [] if named == "body" else named.split(".")
