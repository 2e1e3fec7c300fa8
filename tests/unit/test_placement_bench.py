"""The bench of the scheduler runs, and what it prints is what it placed."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_places_everything_in_one_pass_and_then_finds_nothing_to_do() -> None:
    done = subprocess.run(
        [sys.executable, "bench/placement.py", "--nodes", "40", "--replicas", "400"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    placed = [int(number) for number in re.findall(r"(\d+) placed", done.stdout)]
    assert placed[:6] == [400, 0, 400, 0, 400, 0]
    assert "100 drained" in done.stdout
