"""What routers write of usage is, to the byte, what the models say: the lean twin and the readers' models can't drift apart."""

import math
from datetime import UTC
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UnsetType

from hostler_contracts.usage import (
    FinishedRequest,
    UsageBatch,
    UsageRecordedV1,
    decode_usage,
    encode_usage,
)
from hostler_contracts.usage_records import AFTER_RECORDS, UsageRecord, encode_batch, encode_records
from tests.support.builders import NOW
from tests.support.usage import record, request

_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_seconds = st.floats(min_value=0, max_value=1e7, allow_nan=False)
_counts = st.none() | st.integers(min_value=0, max_value=2**53 - 1)
_moments = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1970 < moment.year < 2200)
_requests = st.builds(
    FinishedRequest,
    usage_id=_texts.filter(bool),
    request_id=_texts,
    key_id=st.none() | _texts,
    key_project=st.none() | _texts,
    replica_id=st.none() | _texts,
    model=_texts,
    route=_texts,
    status=st.integers(min_value=100, max_value=599),
    outcome=_texts,
    streamed=st.booleans(),
    aborted=st.booleans(),
    started_at=_moments,
    duration_seconds=_seconds,
    prompt_tokens=_counts,
    completion_tokens=_counts,
    audio_seconds=st.none() | _seconds,
    cached_tokens=_counts,
    measured=st.booleans(),
    resumed=st.booleans(),
    first_token_seconds=st.none() | _seconds,
    traceparent=st.none() | _texts,
)


def encoded(records: list[UsageRecord]) -> bytes:
    return encode_batch(
        records, event_id="e1", router="r", project="p", job_id="j", writer="w", number=3, time=NOW
    )


def meant(requests: tuple[FinishedRequest, ...]) -> UsageRecordedV1:
    return UsageRecordedV1(
        id="e1",
        source="/hostler/router/r",
        subject="j",
        time=NOW,
        project="p",
        data=UsageBatch(router="r", job_id="j", requests=requests, writer="w", number=3),
    )


@given(st.lists(_requests, max_size=3).map(tuple))
def test_what_a_router_writes_is_what_readers_read(requests: tuple[FinishedRequest, ...]) -> None:
    records = [UsageRecord(**each.model_dump()) for each in requests]
    assert decode_usage(encoded(records)) == meant(requests)


@given(
    st.lists(_requests, min_size=1, max_size=3),
    st.lists(st.lists(_requests, min_size=1, max_size=3), max_size=3),
    st.text(st.characters(categories=["L", "N"], include_characters="-._:"), max_size=20),
)
def test_records_that_are_added_to_an_event_make_the_event_of_all(
    first: list[FinishedRequest], more: list[list[FinishedRequest]], name: str
) -> None:
    def event_of(requests: list[FinishedRequest]) -> bytes:
        return encode_batch(
            [UsageRecord(**each.model_dump()) for each in requests],
            event_id=name,
            router=name,
            project=name,
            job_id=name,
            writer=name,
            number=3,
            time=NOW,
        )

    begun = event_of(first)
    at = begun.rindex(AFTER_RECORDS)
    added = [encode_records([UsageRecord(**each.model_dump()) for each in some]) for some in more]
    assert b",".join((begun[:at], *added)) + begun[at:] == event_of(
        first + [r for some in more for r in some]
    )


def test_the_bytes_are_the_same_as_the_models_give() -> None:
    whole = {"cached_tokens": 1, "measured": False, "resumed": True, "first_token_seconds": 0.125}
    texts = {"request_id": 'quote " and \\ and \u00e9\u4e16\U0001f600\x01\x7f</script>', "audio_seconds": 1.5}
    for fields in ({}, whole, texts, {"traceparent": "00-1-2-01"}):
        assert encoded([record(**fields)]) == encode_usage(meant((request(**fields),)))


def test_the_twins_have_the_same_fields_in_the_same_order() -> None:
    assert list(FinishedRequest.model_fields) == list(UsageRecord.__struct_fields__)
    kinds = {name: field.annotation for name, field in FinishedRequest.model_fields.items()}
    # The one that is left out where it says nothing is unset there.
    assert kinds | {"traceparent": str | UnsetType} == get_type_hints(UsageRecord)


@pytest.mark.parametrize("number", [-1, math.nan, math.inf, -math.inf, 2**60])
def test_a_number_that_no_reader_takes_spoils_nothing_but_itself(number: float) -> None:
    spoilt = record()
    values = {name: getattr(spoilt, name) for name in UsageRecord.__struct_fields__}
    counts = ("prompt_tokens", "completion_tokens", "audio_seconds", "cached_tokens", "first_token_seconds")
    made = UsageRecord(**{**values, **dict.fromkeys(counts, number), "duration_seconds": number})
    (read,) = decode_usage(encoded([made])).data.requests
    assert read == request(**dict.fromkeys(counts), duration_seconds=0.0)


def test_a_batch_of_before_the_numbers_is_read_as_one_without() -> None:
    old = '{"id":"e1","source":"s","type":"dev.hostler.usage.recorded.v1","subject":"j","time":"2026-01-01T00:00:00Z","project":"p","data":{"router":"r","job_id":"j","requests":[]}}'
    read = decode_usage(old.encode()).data
    assert (read.writer, read.number) == (None, 0)
