"""What operators and probes ask of every service: /healthz, /readyz, /metrics.

/healthz says that the process turns; it never looks at anything outside, so that an outage elsewhere restarts nothing.
/readyz says whether work should be sent here, and names every check that says no.
"""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class Check:
    """The answer of one readiness check."""

    ok: bool
    detail: str = ""


def caught_up(done: bool, what: str) -> Check:
    """The check of something that is read at the start: ready once it has been."""
    return Check(done, "" if done else f"{what} is being read")


class Readiness:
    """Named checks; the service is ready when all of them are."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Check]] = {}

    def add(self, name: str, check: Callable[[], Check]) -> None:
        """Ask `check`, which must be quick and must not wait, whenever readiness is asked for."""
        self._checks[name] = check

    def report(self) -> dict[str, Check]:
        """Every check's answer."""
        return {name: check() for name, check in self._checks.items()}


def probe_routes(readiness: Readiness) -> list[Route]:
    """/healthz and /readyz, which a service with a public port serves there as well."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        report = readiness.report()
        ready = all(check.ok for check in report.values())
        return JSONResponse(
            {
                "status": "ready" if ready else "not ready",
                "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in report.items()},
            },
            status_code=200 if ready else 503,
        )

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def ops_app(readiness: Readiness, registry: CollectorRegistry) -> Starlette:
    """The application of the ops port."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[*probe_routes(readiness), Route("/metrics", metrics)])
