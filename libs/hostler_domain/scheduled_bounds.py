"""Windows of time that come again, in which narrower bounds hold: awake in working hours, never more than two at night.

When a window is open is worked out by whoever decides about replicas; here is what makes a window valid whatever the calendar says.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hostler_domain.errors import FieldError

WINDOWS_MAX = 20
DURATION_SECONDS_MIN = 60
DURATION_SECONDS_MAX = 7 * 24 * 3600
_START = re.compile(r"[A-Za-z0-9*/,#L-]+( [A-Za-z0-9*/,#L-]+){4}", re.ASCII)
_TIME_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ScheduledBounds:
    """One window. It opens at every moment that `start` names and narrows the job's bounds, never widens them.

    Attributes:
        start: Cron expression of five fields: minute, hour, day of the month, month, day of the week.
        duration_seconds: How long it stays open; whole minutes.
        time_zone: In which `start` is meant, by its IANA name.
        min_replicas: At least so many while it is open; None leaves the job's own.
        max_replicas: At most so many while it is open; None leaves the job's own.
    """

    start: str
    duration_seconds: int
    time_zone: str = "UTC"
    min_replicas: int | None = None
    max_replicas: int | None = None


def window_errors(
    windows: tuple[ScheduledBounds, ...], minimum: int, maximum: int, prefix: str
) -> Iterator[FieldError]:
    """Everything that does not make sense in `windows` of a job with these bounds; fields are named under `prefix`."""
    if len(windows) > WINDOWS_MAX:
        yield FieldError(prefix, f"must be at most {WINDOWS_MAX} windows, got {len(windows)}")
    for number, window in enumerate(windows):
        yield from _window_errors(window, minimum, maximum, f"{prefix}.{number}")


def _window_errors(window: ScheduledBounds, minimum: int, maximum: int, prefix: str) -> Iterator[FieldError]:
    if len(window.start) > 100 or not _START.fullmatch(window.start):
        yield FieldError(f"{prefix}.start", "must be a cron expression of five fields such as '0 8 * * 1-5'")
    if len(window.time_zone) > 64 or not _TIME_ZONE.fullmatch(window.time_zone):
        yield FieldError(f"{prefix}.time_zone", "must be an IANA time zone such as 'Europe/Berlin'")
    duration = window.duration_seconds
    if not DURATION_SECONDS_MIN <= duration <= DURATION_SECONDS_MAX or duration % 60:
        yield FieldError(
            f"{prefix}.duration_seconds",
            f"must be whole minutes from {DURATION_SECONDS_MIN} to {DURATION_SECONDS_MAX} seconds, got {duration}",
        )
    if window.min_replicas is None and window.max_replicas is None:
        yield FieldError(f"{prefix}.min_replicas", "is needed, or max_replicas")
    for field, value in (("min_replicas", window.min_replicas), ("max_replicas", window.max_replicas)):
        if value is not None and not minimum <= value <= maximum:
            yield FieldError(
                f"{prefix}.{field}",
                f"must be within the job's own bounds, {minimum} to {maximum}, got {value}",
            )
    if (
        window.min_replicas is not None
        and window.max_replicas is not None
        and window.max_replicas < window.min_replicas
    ):
        yield FieldError(
            f"{prefix}.max_replicas",
            f"must be at least min_replicas ({window.min_replicas}), got {window.max_replicas}",
        )
