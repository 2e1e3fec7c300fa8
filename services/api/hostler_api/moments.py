"""Moments in questions: which a calendar can still reckon with. Pure."""

from datetime import UTC, datetime
from typing import Final

from hostler_domain.errors import FieldError, InvalidFields

YEARS: Final = (2000, 9000)
"""Far from the ends of the calendar, where another time zone or an hour more leads out of it."""


def within_calendar(field: str, moment: datetime) -> datetime:
    """`moment`, if it can be reckoned with.

    Raises:
        InvalidFields: it lies at an end of the calendar; the error names `field`.
    """
    if not YEARS[0] <= moment.year <= YEARS[1]:
        raise InvalidFields(FieldError(field, f"must lie between the years {YEARS[0]} and {YEARS[1]}"))
    return moment


def zoned(field: str, moment: datetime | None) -> datetime | None:
    """`moment` in UTC, if it says which time zone it means and can be reckoned with.

    Raises:
        InvalidFields: it does not; the error names `field`.
    """
    if moment is not None and moment.tzinfo is None:
        raise InvalidFields(FieldError(field, "must have a time zone, such as 2026-11-21T12:00:00Z"))
    return within_calendar(field, moment).astimezone(UTC) if moment else None
