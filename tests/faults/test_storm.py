"""Row 1 of the fault matrix, with row 3's kills, in a storm short enough for every day. `make storm` runs the long one."""

from pathlib import Path

import pytest

from tests.faults.facts import acknowledged
from tests.faults.report import describe
from tests.faults.storm import Weather, run_storm

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def test_a_storm_of_kills_loses_nothing_doubles_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    report = run_storm(tmp_path, Weather(kills=12, seed=5, gaps_seconds=(0.2, 1.5)))
    print(describe(report))

    assert report.violations == []
    # What a storm without wind would show as well is no proof.
    assert len(report.kills) == 12
    assert len(acknowledged(report.requests)) > 20
