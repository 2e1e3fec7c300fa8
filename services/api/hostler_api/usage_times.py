"""Buckets of time by which usage is added up, and the time that a question is about. Pure."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hostler_api.moments import within_calendar
from hostler_domain.errors import FieldError, InvalidFields

_SPAN_DEFAULT = timedelta(days=30)


class Granularity(StrEnum):
    """Length of a bucket. A week begins on Monday; all of it in UTC."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


SHORTEST = {
    Granularity.HOUR: timedelta(hours=1),
    Granularity.DAY: timedelta(days=1),
    Granularity.WEEK: timedelta(days=7),
    Granularity.MONTH: timedelta(days=28),
}


def span(start: datetime | None, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The time that a question is about: 30 days up to now where nothing else was said.

    Raises:
        InvalidFields: it makes no sense.
    """
    for field, moment in (("start", start), ("end", end)):
        if moment is not None:
            within_calendar(field, moment)
    until = now if end is None else end
    since = until - _SPAN_DEFAULT if start is None else start
    if since >= until:
        raise InvalidFields(FieldError("start", "must be before end"))
    return since, until


def bucket_start(moment: datetime, granularity: Granularity) -> datetime:
    """The begin of the bucket that `moment` lies in."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    match granularity:
        case Granularity.HOUR:
            return hour
        case Granularity.DAY:
            return hour.replace(hour=0)
        case Granularity.WEEK:
            return hour.replace(hour=0) - timedelta(days=hour.weekday())
        case Granularity.MONTH:
            return hour.replace(day=1, hour=0)


def bucket_end(start: datetime, granularity: Granularity) -> datetime:
    """The end of the bucket that begins at `start`."""
    if granularity is Granularity.MONTH:
        return (start + timedelta(days=31)).replace(day=1)
    return start + SHORTEST[granularity]
