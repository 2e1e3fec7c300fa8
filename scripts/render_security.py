"""Writes the table of routes and scopes in docs/security.md from the api's application itself.

People run it after they added or changed a route: `.venv/bin/python scripts/render_security.py`. A test compares the page with what
this gives, so no route can be opened, or guarded otherwise, without the page saying so.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from hostler_api.app import create_app
from hostler_api.assembly import Assembly, Surroundings
from hostler_api.route_access import RouteAccess, route_table
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
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
    assembly = Assembly(
        Surroundings(
            bus=bus,
            source="/none",
            secret_key=SecretKey(bytes(32)),
            clock=clock,
            logger=structlog.get_logger(),
            stopping=asyncio.Event(),
            readiness=Readiness(),
        )
    )
    app = create_app(
        assembly.parts(), logger=structlog.get_logger(), clock=clock, registry=CollectorRegistry()
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
