"""docs/security.md lists the routes that there are, with what they ask of a caller."""

from pathlib import Path

from scripts.render_security import BEGIN, END, render, routes, with_routes

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")


async def test_the_table_of_routes_is_what_the_application_says() -> None:
    """If this fails: `.venv/bin/python scripts/render_security.py`."""
    assert with_routes(PAGE, await routes()) == PAGE


async def test_every_route_has_a_scope_or_a_reason_for_having_none() -> None:
    rows = await routes()
    assert [row for row in rows if row.scope is None and not row.why_open] == []
    assert {"/v1/jobs", "/v1/api-keys", "/healthz"} < {row.path for row in rows}


async def test_rendering_changes_nothing_outside_the_markers() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    rows = await routes()
    assert with_routes(page, rows) == f"before\n{BEGIN}\n\n{render(rows)}\n\n{END}\nafter\n"
