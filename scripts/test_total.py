"""Adds up what several runs of pytest wrote (`--junitxml`), and says it as pytest says the end of one.

The test command runs the tests in parts, because some may stand beside each other and some may not; whoever reads only its last line
gets the whole with this. It ends with 1 where a run wrote nothing, so that a part that never ran is not taken for one without failures.
"""

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path


def total(reports: list[Path]) -> tuple[Counter[str], float]:
    """How many tests ended in which way, and in how many seconds altogether.

    Raises:
        OSError: a report is not there.
        ET.ParseError: it is not whole.
    """
    counts: Counter[str] = Counter()
    seconds = 0.0
    for report in reports:
        for suite in ET.parse(report).getroot().iter("testsuite"):
            failed, errors, skipped = (
                int(suite.get(name, "0")) for name in ("failures", "errors", "skipped")
            )
            counts["failed"] += failed
            counts["error"] += errors
            counts["skipped"] += skipped
            counts["passed"] += int(suite.get("tests", "0")) - failed - errors - skipped
            seconds += float(suite.get("time", "0"))
    return counts, seconds


def closing_line(counts: Counter[str], seconds: float) -> str:
    """What pytest would say."""
    ways = ", ".join(
        f"{counts[way]} {way}" for way in ("failed", "passed", "skipped", "error") if counts[way]
    )
    return f"======== {ways or 'no tests ran'} in {seconds:.2f}s ========"


def main() -> int:
    """Print it for the reports that the arguments name."""
    try:
        print(closing_line(*total([Path(each) for each in sys.argv[1:]])))
    except (OSError, ET.ParseError) as error:
        print(f"a part of the tests has left no report: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
