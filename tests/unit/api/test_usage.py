"""Usage per key: which bucket a request falls into, and that it falls there once."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from hostler_api.usage import BUCKETS_MAX, UsageTotals
from hostler_api.usage_times import Granularity, bucket_end, bucket_start, span
from hostler_contracts.usage import UsageRecordedV1
from hostler_domain.errors import InvalidFields, TemporaryError
from tests.support.builders import NOW, at
from tests.support.usage import event, request

HOUR, DAY, WEEK, MONTH = Granularity


def totals(*events: UsageRecordedV1) -> UsageTotals:
    made = UsageTotals()
    for each in events:
        made.take(each)
    made.caught_up = True
    return made


def asked(made: UsageTotals, granularity: Granularity = DAY) -> list[tuple[str, datetime, int, int, int]]:
    return [
        (
            each.key_id,
            each.start,
            each.totals.requests,
            each.totals.prompt_tokens,
            each.totals.failed_requests,
        )
        for each in made.between(("key-1", "key-2"), granularity, NOW - timedelta(days=60), at(86400))
    ]


def test_requests_add_up_per_key_and_bucket() -> None:
    made = totals(
        event(request(), request(at(60), status=500, prompt_tokens=None), request(key_id="key-2")),
        event(request(at(-86400)), event_id="e2"),
    )
    day = NOW.replace(hour=0)
    assert asked(made) == [
        ("key-1", day - timedelta(days=1), 1, 5, 0),
        ("key-1", day, 2, 5, 1),
        ("key-2", day, 1, 5, 0),
    ]


def test_a_batch_that_comes_twice_counts_once() -> None:
    assert [row[2] for row in asked(totals(event(request()), event(request())))] == [1]


def test_a_batch_that_comes_again_after_many_others_counts_once() -> None:
    many = [event(request(), event_id=f"e{number}", writer="w", number=number) for number in range(1, 30_001)]
    assert [row[2] for row in asked(totals(*many, many[0], many[17]))] == [30_000]


def test_batches_of_two_routers_with_the_same_number_both_count() -> None:
    both = [event(request(), event_id=writer, writer=writer, number=1) for writer in ("w1", "w2")]
    assert [row[2] for row in asked(totals(*both))] == [2]


def test_what_nobody_is_asked_for_is_in_no_answer() -> None:
    assert asked(totals(event(request(key_id=None), request(key_id="key-3")))) == []


def test_an_answer_that_broke_or_was_left_counts_as_failed_and_its_tokens_count() -> None:
    assert asked(totals(event(request(aborted=True))))[0][2:] == (1, 5, 1)


@pytest.mark.parametrize(
    ("granularity", "moment", "start", "end"),
    [
        (HOUR, "2026-11-21T12:34:56Z", "2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z"),
        (DAY, "2026-11-21T23:59:59Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
        (DAY, "2026-11-22T00:30:00+01:00", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
        (WEEK, "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        (WEEK, "2026-11-16T00:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
        (MONTH, "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (MONTH, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    ],
)
def test_a_moment_lies_in_the_bucket_of_its_utc_calendar(
    granularity: Granularity, moment: str, start: str, end: str
) -> None:
    begin = bucket_start(datetime.fromisoformat(moment), granularity)
    assert begin == datetime.fromisoformat(start)
    assert bucket_end(begin, granularity) == datetime.fromisoformat(end)


def test_hours_weeks_and_months_are_sums_of_the_same_requests() -> None:
    made = totals(event(*(request(at(-3600 * hours)) for hours in range(50))))
    for granularity in Granularity:
        assert sum(row[2] for row in asked(made, granularity)) == 50
    assert len(asked(made, HOUR)) == 50


def test_before_everything_is_read_nothing_is_said() -> None:
    made = totals(event(request()))
    made.caught_up = False
    with pytest.raises(TemporaryError):
        asked(made)


def test_too_many_buckets_are_refused_by_field() -> None:
    with pytest.raises(InvalidFields) as refused:
        totals().between(("key-1",), HOUR, NOW - timedelta(hours=BUCKETS_MAX + 1), NOW)
    assert [each.field for each in refused.value.errors] == ["granularity"]


def test_a_question_without_times_is_about_the_last_30_days() -> None:
    assert span(None, None, NOW) == (NOW - timedelta(days=30), NOW)
    assert span(None, at(86400), NOW) == (at(86400) - timedelta(days=30), at(86400))


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (NOW, NOW, "start"),
        (NOW, NOW - timedelta(days=1), "start"),
        (at(1), None, "start"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), None, "start"),
        (None, datetime.min.replace(tzinfo=UTC), "end"),
        (None, datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))), "end"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused_by_field(
    start: datetime | None, end: datetime | None, field: str
) -> None:
    with pytest.raises(InvalidFields) as refused:
        span(start, end, NOW)
    assert [each.field for each in refused.value.errors] == [field]
