"""compose.yaml for real, by the script that people run; only where containers are asked for and an engine answers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return all(
        subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0
        for argv in (["docker", "info"], ["docker", "compose", "version"])
    )


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(2400),  # it may have to build the image
    pytest.mark.skipif(
        os.environ.get("HOSTLER_TEST_SERVERS") != "containers",
        reason="takes minutes: asked for by HOSTLER_TEST_SERVERS=containers",
    ),
]


def test_the_stack_of_containers_serves_and_survives_kills() -> None:
    if not engine_answers():
        pytest.skip("no Docker engine with Compose answers")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "compose_test.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_an_engine_the_script_says_so_and_fails() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "compose_test.py")],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "needs a Docker engine" in done.stderr
