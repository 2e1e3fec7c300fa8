"""Which methods a path takes: for the `Allow` of a 405, and so that a path that has routes of its own is no name in another's.

The framework names only the methods of the first route that it finds, and takes `DELETE /v1/api-keys/usage` for the deletion of a key.
"""

import re
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from hostler_api.problem_catalogue import METHOD_NOT_ALLOWED, Occurrence


class AllowedMethods:
    """The methods of every path of an application, read off its routes when it is first asked."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._literal: dict[str, frozenset[str]] = {}
        self._forms: list[tuple[re.Pattern[str], frozenset[str]]] = []

    def of_literal(self, path: str) -> frozenset[str] | None:
        """The methods of a path that is a route as it stands; None for all others."""
        self._read()
        return self._literal.get(path)

    def of(self, path: str) -> frozenset[str]:
        """The methods of any path."""
        literal = self.of_literal(path)
        if literal is not None:
            return literal
        return frozenset().union(*(methods for form, methods in self._forms if form.match(path)))

    def _read(self) -> None:
        if self._forms:
            return
        for context in iter_route_contexts(self._app.routes):
            path, methods = context.path or "", frozenset(context.methods or ())
            if "{" in path:
                self._forms.append((compile_path(path)[0], methods))
            else:
                self._literal[path] = self._literal.get(path, frozenset()) | methods


class MethodCheck:
    """Refuses a method that a literal path does not have, before a route with a parameter takes the path for a name."""

    def __init__(
        self, app: ASGIApp, *, allowed: AllowedMethods, answer: Callable[[Request, Occurrence], Response]
    ) -> None:
        self._app = app
        self._allowed = allowed
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        methods = self._allowed.of_literal(scope["path"]) if scope["type"] == "http" else None
        if methods is None or scope["method"] in methods:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        await not_allowed(request, methods, self._answer)(scope, receive, send)


def not_allowed(
    request: Request, methods: frozenset[str], answer: Callable[[Request, Occurrence], Response]
) -> Response:
    """The answer to a method that a path does not have."""
    listed = ", ".join(sorted(methods))
    response = answer(request, Occurrence(METHOD_NOT_ALLOWED, f"the methods here are {listed}"))
    response.headers["Allow"] = listed
    return response
