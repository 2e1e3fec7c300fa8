"""What is put down of a finished request, for the usage.

`usage_commit` takes the records from here into the stream.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import UNSET

from hostler_contracts.usage_records import SoundRecord, UsageRecord
from hostler_router.exchange import Exchange, Outcome
from hostler_router.table import Entry

_ANSWERED: Final = Outcome.ANSWERED
_CLIENT_GONE_CODE: Final = 499
_NOT_WHOLE: Final = frozenset({Outcome.CLIENT_GONE, Outcome.BROKEN, Outcome.CUT})


def answered(
    exchange: Exchange, entry: Entry, *, now: datetime, seconds: float, usage_id: str
) -> SoundRecord:
    """`finished` of a request that was answered with a 200, was no stream and is in no trace: what nearly all are."""
    prompt_tokens = completion_tokens = cached_tokens = audio_seconds = None
    usage = exchange.usage  # what can't be was not taken from the answer
    if usage is not None:
        prompt_tokens, completion_tokens = usage.prompt_tokens, usage.completion_tokens
        cached_tokens = usage.cached_tokens
        if usage.audio_seconds:
            audio_seconds = float(usage.audio_seconds)
    return SoundRecord(
        usage_id,
        exchange.request_id,
        exchange.key_id,
        exchange.key_project,
        exchange.replica_id,
        entry.model,
        exchange.route,
        200,
        _ANSWERED,
        False,
        False,
        now - timedelta(0, seconds),
        round(seconds, 4),
        prompt_tokens,
        completion_tokens,
        audio_seconds,
        cached_tokens,
        usage is not None,
    )


def finished(
    exchange: Exchange,
    entry: Entry,
    *,
    status: int,
    now: datetime,
    duration_seconds: float,
    usage_id: str,
    measured: bool,
) -> UsageRecord:
    """What is put down of a request that has just ended; `measured` tells whether the runtime has counted what it took."""
    usage = exchange.usage
    # In the order of its fields: to name twenty of them costs a request more than to fill them.
    return UsageRecord(
        usage_id,
        exchange.request_id,
        exchange.key_id,
        exchange.key_project,
        exchange.replica_id or None,
        entry.model,
        exchange.route,
        status or _CLIENT_GONE_CODE,
        exchange.outcome,
        exchange.stream,
        exchange.outcome in _NOT_WHOLE,
        now - timedelta(0, duration_seconds),
        round(duration_seconds, 4),
        None if usage is None else usage.prompt_tokens,
        None if usage is None else usage.completion_tokens,
        float(usage.audio_seconds) if usage is not None and usage.audio_seconds else None,
        None if usage is None else usage.cached_tokens,
        measured,
        exchange.resumed,
        exchange.first_event_seconds,
        UNSET if exchange.trace is None else exchange.trace,
    )
