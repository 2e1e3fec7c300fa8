"""The line that ends the test command, about all of its parts."""

import importlib.util
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "test_total.py"


def _module():  # type: ignore[no-untyped-def]  # a script is no part of any package
    spec = importlib.util.spec_from_file_location("total_line", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(
    folder: Path, name: str, *, tests: int, failures: int = 0, errors: int = 0, skipped: int = 0
) -> Path:
    path = folder / name
    path.write_text(
        f'<testsuites><testsuite name="pytest" tests="{tests}" failures="{failures}" errors="{errors}" '
        f'skipped="{skipped}" time="1.50"></testsuite></testsuites>'
    )
    return path


def test_parts_are_added_up(tmp_path: Path) -> None:
    total = _module()
    counts, seconds = total.total(
        [
            report(tmp_path, "a.xml", tests=10, skipped=2),
            report(tmp_path, "b.xml", tests=5, failures=1, errors=1),
        ]
    )
    assert total.closing_line(counts, seconds) == (
        "======== 1 failed, 11 passed, 2 skipped, 1 error in 3.00s ========"
    )


def test_a_part_without_a_report_is_no_part_without_failures(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"missing\.xml"):
        _module().total([tmp_path / "missing.xml"])
