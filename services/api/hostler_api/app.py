"""The api as one ASGI application, put together from parts that are given in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostler_api import dead_letters as dead_letter_routes
from hostler_api.access import Gate
from hostler_api.allowed_methods import AllowedMethods, MethodCheck
from hostler_api.audit import AuditLog
from hostler_api.audit_routes import router as audit_router
from hostler_api.body_cap import BodyCap
from hostler_api.catalogues import Catalogues
from hostler_api.dead_letters import DeadLetters
from hostler_api.decisions import DecisionReader
from hostler_api.decisions import router as decision_router
from hostler_api.dialects import lyceum
from hostler_api.dialects.runai import routes as runai
from hostler_api.events import EventFeed
from hostler_api.history.shapes import MetricHistory
from hostler_api.jobs import JobService
from hostler_api.key_routes import router as key_router
from hostler_api.keys import KeyService
from hostler_api.metric_routes import router as metric_router
from hostler_api.openapi import completed, operation_id
from hostler_api.problems import FORM, Render, add_problem_handlers, renderer
from hostler_api.project_routes import router as project_router
from hostler_api.projects import ProjectService
from hostler_api.record_routes import router as record_router
from hostler_api.records import RecordService
from hostler_api.route_access import RouteAccess, is_for_admins, route_table
from hostler_api.routes import router
from hostler_api.shadows import router as shadow_router
from hostler_api.simulations import Simulations
from hostler_api.simulations import router as simulation_router
from hostler_api.usage import UsageTotals
from hostler_api.waits import JobWaits
from hostler_domain.catalogue import HardwareProfile, ModelMaster
from hostler_domain.redaction import redact
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_kit.ops import Readiness, probe_routes

DIALECTS: tuple[tuple[str, Render], ...] = (
    (lyceum.PREFIX, lyceum.lyceum_error),
    (runai.PREFIX, runai.error_answer),
)
"""Prefixes of paths, each with the form of its errors."""
FORMS = (lyceum.FORM, runai.FORM, FORM)
"""The same for the description."""
ROUTERS: tuple[APIRouter, ...] = (
    router,
    lyceum.router,
    *runai.ROUTERS,
    metric_router,
    decision_router,
    simulation_router,
    shadow_router,
    key_router,
    project_router,
    record_router,
    audit_router,
    dead_letter_routes.router,
)
"""Everything that is served, but the probes; where two take a path, the first has it."""
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
        # The id goes into logs and events, so it must be no key that its sender mistook for one.
        request_id = given.decode("latin-1")
        if not _HARMLESS_ID.fullmatch(given) or redact(request_id) != request_id:
            request_id = new_id()
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
                path=redact(scope["path"]),
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
    waits: JobWaits
    keys: KeyService
    projects: ProjectService
    masters: RecordService[ModelMaster]
    profiles: RecordService[HardwareProfile]
    audit: AuditLog
    usage: UsageTotals
    dead_letters: DeadLetters
    catalogues: Catalogues
    history: MetricHistory
    decisions: DecisionReader
    simulations: Simulations
    readiness: Readiness


def create_app(
    parts: Parts,
    *,
    logger: Logger,
    clock: Clock,
    registry: CollectorRegistry,
    serves_admin: bool = True,
) -> FastAPI:
    """The application; nothing in it reaches outside but through what is given.

    Args:
        parts: What the routes work with.
        logger: For one line per request.
        clock: The time.
        registry: For figures.
        serves_admin: Whether the routes for admins are there; another listener has them where they are not.

    Raises:
        RouteWithoutAccess: a route does not say who may call it.
    """
    app = FastAPI(
        title="Hostler",
        version="1",
        description="Open models as managed inference jobs.",
        docs_url="/docs",
        redoc_url=None,
        generate_unique_id_function=operation_id,
    )
    for part in fields(parts):
        setattr(app.state, part.name, getattr(parts, part.name))
    app.state.clock = clock
    app.state.serves_admin = serves_admin
    app.router.routes.extend(included())
    answer = renderer(DIALECTS)
    allowed = AllowedMethods(app)
    add_problem_handlers(app, answer, allowed)
    app.add_middleware(MethodCheck, allowed=allowed, answer=answer)
    app.add_middleware(BodyCap, answer=answer)
    app.router.routes.extend(probe_routes(parts.readiness))
    _describe(app, route_table(app), serves_admin=serves_admin)
    app.add_middleware(RequestLog, logger=logger, clock=clock, requests=request_counter(registry))
    show_dead_letters(parts.dead_letters, registry)
    return app


@cache
def included() -> tuple[BaseRoute, ...]:
    """The routes of `ROUTERS`, the same for every application of a process.

    FastAPI works out what a route needs when a router is included, which takes a third of a second for all of these, each time.
    """
    gathering = FastAPI(openapi_url=None, generate_unique_id_function=operation_id)
    for each in ROUTERS:
        gathering.include_router(each)
    return tuple(gathering.router.routes)


def show_dead_letters(letters: DeadLetters, registry: CollectorRegistry) -> None:
    """Show how many wait; the same figure for every application of a process."""
    name = "hostler_dead_letters"
    gauge = registry._names_to_collectors.get(name)  # noqa: SLF001  # the registry has no other way to ask
    if gauge is None:
        gauge = Gauge(name, "Messages that a consumer gave up and nobody has dealt with.", registry=registry)
        gauge.set_function(letters.known.waiting)


def request_counter(registry: CollectorRegistry) -> Counter:
    """Counts answers; the same one for every application of a process."""
    name = "hostler_api_requests"
    known = registry._names_to_collectors.get(name)  # noqa: SLF001  # the registry has no other way to ask
    if isinstance(known, Counter):
        return known
    return Counter(f"{name}_total", "Requests answered.", ("method", "code"), registry=registry)


def _describe(app: FastAPI, rows: Sequence[RouteAccess], *, serves_admin: bool) -> None:
    """Describe everything that is served here, and nothing else."""
    shown = [
        context for context in iter_route_contexts(app.routes) if serves_admin or not is_for_admins(context)
    ]

    def describe() -> dict[str, object]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=shown
            )
            app.openapi_schema = completed(document, rows, FORMS)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's own way of another description
