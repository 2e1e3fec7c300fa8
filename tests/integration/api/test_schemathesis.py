"""The api against its own description: schemathesis makes requests of everything that /openapi.json has, right and wrong ones.

It runs as its users run it, as a command against a real port. What is left out is in schemathesis.toml, with the reasons. Each run makes
the same requests; HOSTLER_SCHEMATHESIS_EXAMPLES (how many of each operation) and HOSTLER_SCHEMATHESIS_SEED make others.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.api.conftest import ADMIN_KEY
from tests.support.builders import NOW
from tests.support.served_api import served_api

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
ROOT = Path(__file__).parents[3]
EXAMPLES = int(os.environ.get("HOSTLER_SCHEMATHESIS_EXAMPLES", "3"))
SEED = os.environ.get("HOSTLER_SCHEMATHESIS_SEED", "1")
LINKS_MIN = 15
"""How many different links the sequences must have gone along: none would mean that nothing was ever made."""
TIMEOUT_SECONDS = 240 + 20 * EXAMPLES


def schemathesis(address: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run")
    hooks = "tests.integration.api.schemathesis_hooks"
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    return subprocess.run(
        (*command, f"{address}/openapi.json", "--no-color", "--seed", SEED, *arguments),
        cwd=tmp_path,
        env={
            **os.environ,
            "SCHEMATHESIS_ADMIN_KEY": ADMIN_KEY,
            "SCHEMATHESIS_HOOKS": hooks,
            "PYTHONPATH": path,
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.fixture(autouse=True)
def _installed() -> None:
    if importlib.util.find_spec("schemathesis") is None:
        assert not os.environ.get("CI"), "schemathesis belongs to the development environment"
        pytest.skip("schemathesis is not installed: make setup-dev")


@pytest.mark.timeout(TIMEOUT_SECONDS + 60)
def test_every_operation_answers_as_its_description_says(tmp_path: Path) -> None:
    with served_api(ADMIN_KEY, NOW) as address:
        phases = ("--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES))
        ran = schemathesis(address, tmp_path, *phases)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    selected, known = figures(r"Operations: +(\d+) selected / (\d+) total", ran.stdout)
    assert selected == known > 100


@pytest.mark.timeout(TIMEOUT_SECONDS + 60)
def test_what_was_made_can_be_asked_for_changed_and_taken_away(tmp_path: Path) -> None:
    # By itself: behind other phases schemathesis goes on with what it found there, and follows no link.
    with served_api(ADMIN_KEY, NOW) as address:
        ran = schemathesis(address, tmp_path, "--phases", "stateful")
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    (links,) = figures(r"API Links: +(\d+) covered", ran.stdout)
    assert links > LINKS_MIN


def figures(pattern: str, text: str) -> tuple[int, ...]:
    found = re.search(pattern, text)
    assert found is not None, text[-2_000:]
    return tuple(int(each) for each in found.groups())
