"""What is put down of a finished request, for the usage.

`usage_commit` takes the records from here into the stream.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec import UNSET

from hostler_contracts.usage_records import UsageRecord
from hostler_router.exchange import Exchange, Outcome
from hostler_router.table import Entry

_CLIENT_GONE_CODE: Final = 499
_NOT_WHOLE: Final = frozenset({Outcome.CLIENT_GONE, Outcome.BROKEN, Outcome.CUT})


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
    return UsageRecord(
        usage_id=usage_id,
        request_id=exchange.request_id,
        key_id=exchange.key_id,
        key_project=exchange.key_project,
        replica_id=exchange.replica_id or None,
        model=entry.model,
        route=exchange.route,
        status=status or _CLIENT_GONE_CODE,
        outcome=exchange.outcome,
        streamed=exchange.stream,
        aborted=exchange.outcome in _NOT_WHOLE,
        started_at=now - timedelta(seconds=duration_seconds),
        duration_seconds=round(duration_seconds, 4),
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
        audio_seconds=float(usage.audio_seconds) if usage is not None and usage.audio_seconds else None,
        cached_tokens=None if usage is None else usage.cached_tokens,
        measured=measured,
        resumed=exchange.resumed,
        first_token_seconds=exchange.first_event_seconds,
        traceparent=UNSET if exchange.trace is None else exchange.trace,
    )
