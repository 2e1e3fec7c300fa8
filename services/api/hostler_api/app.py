"""The api as one ASGI application, put together from parts that are given in."""

import re
from dataclasses import dataclass, fields

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostler_api.access import Gate
from hostler_api.catalogues import Catalogues
from hostler_api.dialects.runai import routes as runai
from hostler_api.events import EventFeed
from hostler_api.jobs import JobService
from hostler_api.metric_history import MetricHistory
from hostler_api.problems import add_problem_handlers
from hostler_api.routes import router
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_kit.ops import Readiness, probe_routes

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_HARMLESS_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")


class RequestLog:
    """Gives every request an id, puts it on the answer, and writes one line about it."""

    def __init__(self, app: ASGIApp, *, logger: Logger, clock: Clock, requests: Counter) -> None:
        self._app = app
        self._requests = requests
        self._logger = logger
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if _HARMLESS_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        started = self._clock.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._requests.labels(
                scope["method"] if scope["method"] in _METHODS else "other", str(status)
            ).inc()
            self._logger.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                outcome=status,
                correlation_id=request_id,
                ms=round((self._clock.monotonic() - started) * 1000, 1),
            )


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with; each finds its own on `app.state` under the field's name."""

    jobs: JobService
    feed: EventFeed
    gate: Gate
    catalogues: Catalogues
    history: MetricHistory
    readiness: Readiness


def create_app(
    parts: Parts,
    *,
    logger: Logger,
    clock: Clock,
    registry: CollectorRegistry,
) -> FastAPI:
    """The application; nothing in it reaches outside but through what is given."""
    app = FastAPI(
        title="Hostler",
        version="1",
        description="Open models as managed inference jobs.",
        docs_url="/docs",
        redoc_url=None,
    )
    for part in fields(parts):
        setattr(app.state, part.name, getattr(parts, part.name))
    app.state.clock = clock
    for each in (router, *runai.ROUTERS):
        app.include_router(each)
    add_problem_handlers(app, dialects=((runai.PREFIX, runai.error_answer),))
    app.router.routes.extend(probe_routes(parts.readiness))
    requests = Counter(
        "hostler_api_requests_total", "Requests answered.", ("method", "code"), registry=registry
    )
    app.add_middleware(RequestLog, logger=logger, clock=clock, requests=requests)
    return app
