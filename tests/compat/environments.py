"""Environments of foreign clients: made once by scripts/compat_environment.sh, kept between runs."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def environment(name: str) -> Path:
    """The folder with the client's programs; without a way to make it the test is skipped, and in CI it fails."""
    made = subprocess.run(
        [ROOT / "scripts" / "compat_environment.sh", name],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if made.returncode != 0:
        why = f"the environment of {name} can't be made: {made.stderr.strip()[-500:]}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return ROOT / ".venv-compat" / name / "bin"
