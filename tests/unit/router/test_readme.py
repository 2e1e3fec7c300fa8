"""services/router/README.md names what the router answers: its routes and the codes of its errors."""

import re
from pathlib import Path

from hostler_router.app import MAY_STREAM, UPLOADS
from hostler_router.exchange import Outcome

ROUTER = Path(__file__).parents[3] / "services/router"
README = (ROUTER / "README.md").read_text(encoding="utf-8")


def test_every_code_of_an_error_is_listed() -> None:
    section = README.partition("\n## Errors\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([a-z_]+)`", section))
    codes = {
        code
        for path in (ROUTER / "hostler_router").rglob("*.py")
        for code in re.findall(r"code(?:=|\": )\"([a-z_]+)\"", path.read_text(encoding="utf-8"))
    }
    assert "replica_failed" in codes
    assert codes - told == set()


def test_every_route_is_listed() -> None:
    section = README.partition("\n## Routes\n")[2].partition("\n## ")[0]
    assert {route for route in (*MAY_STREAM, *UPLOADS) if f"{route}`" not in section} == set()


def test_every_outcome_is_explained() -> None:
    told = set(re.findall(r"^\| `([a-z_]+)` \|", README, flags=re.MULTILINE))
    assert {outcome.value for outcome in Outcome} <= told
