"""Moments in questions: which a calendar can still reckon with. Pure."""

from datetime import datetime
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
