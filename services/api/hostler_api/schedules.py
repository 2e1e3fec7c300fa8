"""Windows of narrower bounds as users write them, and whether the calendar knows the moments that they name. Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field

from hostler_api.numbers import Whole
from hostler_api.request_body import RequestBody
from hostler_domain.errors import FieldError
from hostler_domain.scheduled_bounds import ScheduledBounds

_ANY_MOMENT: Final = datetime(2026, 1, 1, tzinfo=UTC)


class WindowRequest(RequestBody):
    """A window of time that comes again, in which narrower bounds hold."""

    start: str = Field(
        max_length=100,
        examples=["0 8 * * 1-5"],
        description="When it opens, as a cron expression: minute, hour, day of the month, month, day of the week.",
    )
    duration_seconds: Whole = Field(examples=[36000], description="How long it stays open; whole minutes.")
    time_zone: str = Field(
        default="UTC", max_length=64, examples=["Europe/Berlin"], description="By its IANA name."
    )
    min_replicas: Whole | None = None
    max_replicas: Whole | None = None


def windows_of(requests: Iterable[WindowRequest]) -> tuple[ScheduledBounds, ...]:
    """What they ask for; whether the bounds make sense is for the domain to say."""
    return tuple(
        ScheduledBounds(
            start=each.start,
            duration_seconds=each.duration_seconds,
            time_zone=each.time_zone,
            min_replicas=each.min_replicas,
            max_replicas=each.max_replicas,
        )
        for each in requests
    )


def calendar_errors(
    windows: Iterable[ScheduledBounds], prefix: str = "scaling.schedule"
) -> Iterator[FieldError]:
    """Moments that no calendar has and time zones that nobody knows; fields are named under `prefix`."""
    for number, window in enumerate(windows):
        try:
            ZoneInfo(window.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            # A name that leads to a folder, or out of the folder of zones, is none either.
            yield FieldError(
                f"{prefix}.{number}.time_zone", "must be an IANA time zone such as 'Europe/Berlin'"
            )
        try:
            opens = next(CronSim(window.start, _ANY_MOMENT), None)
        except CronSimError as error:
            yield FieldError(
                f"{prefix}.{number}.start", f"must be a cron expression such as '0 8 * * 1-5': {error}"
            )
        else:
            if opens is None:
                yield FieldError(f"{prefix}.{number}.start", "must name a moment that comes")
