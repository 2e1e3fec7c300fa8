"""Usage as routers write it: the twins of the models in `usage`, made and encoded at a fraction of their cost.

A router makes one record per request on its hottest path, where pydantic would take longer than everything else that is done at a
request's end. The bytes are the very ones that `encode_usage` gives for the same values; a contract test compares both.
Nothing is read through these.
"""

from datetime import datetime
from typing import Final

import msgspec

COUNT_MAX: Final = 2**53
"""The largest count that every reader of JSON takes as it is written."""
AFTER_RECORDS: Final = b'],"writer":'
"""What comes after the last record of an event, and nowhere behind that."""
_TYPE: Final = "dev.hostler.usage.recorded.v1"


class SoundRecord(msgspec.Struct, gc=False):
    """One finished request, whose numbers are known to be what they can be; `hostler_contracts.usage.FinishedRequest` says what the fields are."""

    usage_id: str
    request_id: str
    key_id: str | None
    key_project: str | None
    replica_id: str | None
    model: str
    route: str
    status: int
    outcome: str
    streamed: bool
    aborted: bool
    started_at: datetime
    duration_seconds: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    audio_seconds: float | None = None
    cached_tokens: int | None = None
    measured: bool = True
    resumed: bool = False
    first_token_seconds: float | None = None
    traceparent: str | msgspec.UnsetType = msgspec.UNSET


class UsageRecord(SoundRecord, gc=False):
    """The same, of any numbers.

    Readers refuse a whole batch for one number that can't be, so a duration below zero becomes zero here, and a count below zero,
    or one that is beyond all reason, becomes unknown.
    """

    def __post_init__(self) -> None:
        """Put right what readers refuse; a comparison with what is no number is false as well."""
        if not 0 <= self.duration_seconds < COUNT_MAX:
            self.duration_seconds = 0.0
        if self.prompt_tokens is not None and not 0 <= self.prompt_tokens < COUNT_MAX:
            self.prompt_tokens = None
        if self.completion_tokens is not None and not 0 <= self.completion_tokens < COUNT_MAX:
            self.completion_tokens = None
        if self.audio_seconds is not None and not 0 <= self.audio_seconds < COUNT_MAX:
            self.audio_seconds = None
        if self.cached_tokens is not None and not 0 <= self.cached_tokens < COUNT_MAX:
            self.cached_tokens = None
        if self.first_token_seconds is not None and not 0 <= self.first_token_seconds < COUNT_MAX:
            self.first_token_seconds = None


class _Batch(msgspec.Struct, kw_only=True, gc=False):
    router: str
    job_id: str
    requests: list[SoundRecord]
    writer: str
    number: int


class _Recorded(msgspec.Struct, kw_only=True, gc=False):
    id: str
    source: str
    specversion: str = "1.0"
    type: str = _TYPE
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    project: str
    correlationid: str | None = None
    data: _Batch


_encode: Final = msgspec.json.Encoder().encode


def encode_batch(
    requests: list[SoundRecord],
    *,
    event_id: str,
    router: str,
    project: str,
    job_id: str,
    writer: str,
    number: int,
    time: datetime,
) -> bytes:
    """The `usage.recorded` event that holds these requests.

    Raises:
        UnicodeEncodeError: a text in it is no Unicode.
    """
    batch = _Batch(router=router, job_id=job_id, requests=requests, writer=writer, number=number)
    return _encode(
        _Recorded(
            id=event_id,
            source=f"/hostler/router/{router}",
            subject=job_id,
            time=time,
            project=project,
            data=batch,
        )
    )


def encode_records(requests: list[SoundRecord]) -> bytes:
    """These requests as they stand in such an event, with commas between: what is put before `AFTER_RECORDS` adds them to one.

    Raises:
        UnicodeEncodeError: a text in it is no Unicode.
    """
    return _encode(requests)[1:-1]
