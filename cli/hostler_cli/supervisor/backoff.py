"""How long to wait before a process that ended is started again, and when a first start has failed for good."""

from typing import Final

DELAY_FIRST_SECONDS: Final = 0.2
DELAY_MAX_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 10.0
"""A process that stayed up this long has shown that it works: its next end starts the row of delays anew."""
SERVED_SECONDS: Final = 2.0
"""So has one that was ready this long: whatever ended it came from outside, and a needless wait keeps others waiting too."""
FIRST_START_ATTEMPTS: Final = 3
"""How often a process may end before it was ever ready. A lost race for a port heals; a wrong setting does not."""


def next_failures(failures: int, *, uptime_seconds: float, served_seconds: float) -> int:
    """Count quick ends in a row, this one included; `served_seconds` is how long it was ready, 0 if it never was."""
    worked = uptime_seconds >= STEADY_SECONDS or served_seconds >= SERVED_SECONDS
    return 1 if worked else failures + 1


def restart_delay_seconds(failures: int) -> float:
    """Give the wait before the next start: doubling from the first quick end on, up to the limit."""
    return float(min(DELAY_MAX_SECONDS, DELAY_FIRST_SECONDS * 2 ** min(failures - 1, 16)))
