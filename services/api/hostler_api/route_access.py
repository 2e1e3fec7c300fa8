"""The table of routes and what each asks of its caller, read off the application itself.

`create_app` calls `require_access` and does not start with a route that has no answer. `scripts/render_security.py` prints the table
into docs/security.md, and the sweep in tests/integration/api/test_access_sweep.py knocks at every row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts

from hostler_api.access import Needs, OpenToAll

WITHOUT_DEPENDENCIES = {
    "/healthz": "liveness; says nothing but that the process turns",
    "/readyz": "readiness",
    "/openapi.json": "the description of the API",
    "/docs": "the same for people",
    "/docs/oauth2-redirect": "part of /docs; no login uses it",
}
"""Routes that are no FastAPI routes, with the reason why they need no key."""


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """One route and who may call it.

    Attributes:
        method: In capitals.
        path: With its parameters in braces.
        scope: Of the key; None for a route that asks for none.
        why_open: The reason for that.
    """

    method: str
    path: str
    scope: str | None
    why_open: str = ""


class RouteWithoutAccess(RuntimeError):
    """A route was added that does not say who may call it."""


def route_table(app: FastAPI) -> list[RouteAccess]:
    """Every route of the application, sorted by path.

    Raises:
        RouteWithoutAccess: one does not say who may call it.
    """
    rows = [row for context in iter_route_contexts(app.routes) for row in _rows(context)]
    return sorted(rows, key=lambda row: (row.path, row.method))


def is_for_admins(context: RouteContext) -> bool:
    """Whether a route is one that a listener for admins may keep to itself."""
    return any(needed.scope == "admin" for needed in _needs(context))


def _rows(context: RouteContext) -> Iterator[RouteAccess]:
    path = context.path or ""
    needed = list(_needs(context))
    # HEAD and OPTIONS answer no more than their route's other methods do.
    for method in sorted((context.methods or set()) - {"HEAD", "OPTIONS"}):
        if needed:
            yield RouteAccess(method, path, _strictest(needed))
        elif path in WITHOUT_DEPENDENCIES:
            yield RouteAccess(method, path, None, WITHOUT_DEPENDENCIES[path])
        elif (reason := next(_open(context), None)) is not None:
            yield RouteAccess(method, path, None, reason)
        else:
            raise RouteWithoutAccess(f"{method} {path} depends neither on a caller nor on OpenToAll")


def _strictest(needed: list[Needs]) -> str:
    return "admin" if any(each.scope == "admin" for each in needed) else needed[0].scope


def _needs(context: RouteContext) -> Iterator[Needs]:
    for call in _calls(getattr(context, "dependant", None)):
        if isinstance(call, Needs):
            yield call


def _open(context: RouteContext) -> Iterator[str]:
    for call in _calls(getattr(context, "dependant", None)):
        if isinstance(call, OpenToAll):
            yield call.reason


def _calls(dependant: Dependant | None) -> Iterator[object]:
    """Everything that a route depends on, at any depth."""
    if dependant is None:
        return
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)
