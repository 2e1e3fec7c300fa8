"""Foreign clients as their makers publish them, each in an environment of its own, run as processes against Hostler."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def compat_python() -> Callable[[str], Path]:
    """Gives the Python of a client's environment, which is made where it is not there yet."""

    def make(name: str) -> Path:
        environment = {
            "UV": str(Path(sys.executable).with_name("uv")),
            "PYTHON": sys.executable,
            **os.environ,
        }
        done = subprocess.run(
            [_ROOT / "scripts" / "compat_environment.sh", name],
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
            check=False,
        )
        if done.returncode == 0:
            return _ROOT / ".venv-compat" / name / "bin" / "python"
        reason = f"the environment of {name} can't be made: {done.stderr.strip()[-500:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return make
