"""Writes the table of routes and scopes in docs/security.md from the api's application itself.

People run it after they added or changed a route: `.venv/bin/python scripts/render_security.py`. A test compares the page with what
this gives, so no route can be opened, or guarded otherwise, without the page saying so.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from hostler_api.access import Gate
from hostler_api.app import Parts, create_app
from hostler_api.audit import AuditLog
from hostler_api.catalogues import Catalogues
from hostler_api.dead_letters import DeadLetters
from hostler_api.events import EventFeed
from hostler_api.history.reader import NoHistory
from hostler_api.jobs import JobService
from hostler_api.keys import KeyService
from hostler_api.projects import ProjectService
from hostler_api.record_kinds import master_service, profile_service
from hostler_api.route_access import RouteAccess, route_table
from hostler_api.sessions import Sessions
from hostler_api.usage import UsageTotals
from hostler_api.waits import JobWaits
from hostler_bus.dead_letters import DeadLetterBook
from hostler_bus.job_log import JobLog
from hostler_bus.letter_projection import LetterProjection
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_kit.clock import SystemClock
from hostler_kit.ops import Readiness
from hostler_kit.secret_key import SecretKey

PAGE = Path(__file__).parents[1] / "docs" / "security.md"
BEGIN = "<!-- routes: written by scripts/render_security.py -->"
END = "<!-- end of routes -->"


async def routes() -> list[RouteAccess]:
    """The table of an api that holds nothing and serves nobody."""
    clock = SystemClock()
    bus = MemoryBus(MemoryServer(clock=clock))
    catalogues, jobs = Catalogues(), JobProjection()
    secret_key = SecretKey(bytes(32))
    log, audit = JobLog(bus, source="/none", clock=clock), AuditLog(bus, source="/none", clock=clock)
    app = create_app(
        Parts(
            jobs=JobService(bus, log, jobs, catalogues, secret_key, clock),
            feed=EventFeed(bus, idle_seconds=1, stopping=asyncio.Event()),
            gate=Gate(catalogues.keys.records, clock, caught_up=lambda: True),
            keys=KeyService(bus, catalogues, audit, Sessions(secret_key), clock),
            waits=JobWaits(jobs, asyncio.Event()),
            projects=ProjectService(bus, catalogues, jobs, audit, clock),
            masters=master_service(bus, catalogues, audit),
            profiles=profile_service(bus, catalogues, jobs, audit),
            audit=audit,
            usage=UsageTotals(),
            history=NoHistory(),
            dead_letters=DeadLetters(
                DeadLetterBook(bus, source="/none", clock=clock), LetterProjection(clock.now)
            ),
            catalogues=catalogues,
            readiness=Readiness(),
        ),
        logger=structlog.get_logger(),
        clock=clock,
        registry=CollectorRegistry(),
    )
    await bus.drain()
    return route_table(app)


def render(rows: Iterable[RouteAccess]) -> str:
    """The table as Markdown."""
    lines = [
        f"| `{row.method} {row.path}` | {f'`{row.scope}`' if row.scope else 'none: ' + row.why_open} | {_listener(row)} |"
        for row in rows
    ]
    return "\n".join(("| route | scope | listener |", "| --- | --- | --- |", *lines))


def with_routes(page: str, rows: Iterable[RouteAccess]) -> str:
    """The page with what lies between its two markers written anew.

    Raises:
        ValueError: a marker is missing.
    """
    before, rest = page[: page.index(BEGIN)], page[page.index(END) :]
    return f"{before}{BEGIN}\n\n{render(rows)}\n\n{rest}"


def _listener(row: RouteAccess) -> str:
    return "admins'" if row.scope == "admin" else "public"


if __name__ == "__main__":
    PAGE.write_text(with_routes(PAGE.read_text(encoding="utf-8"), asyncio.run(routes())), encoding="utf-8")
