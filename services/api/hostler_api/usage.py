"""How much each API key used, by the hour: a fold of the USAGE stream, kept in memory.

Each api reads the whole stream once at its start, beside everything else, and follows it from there; nothing is stored twice, and a
batch that stands twice in the stream is counted once (`hostler_contracts.usage_seen`). The totals reach back as far as the stream does, 90 days. Until the
start of it is read, questions are refused rather than answered with half of the truth.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from hostler_api.usage_times import SHORTEST, Granularity, bucket_end, bucket_start
from hostler_bus.port import Bus, CaughtUp, FromSequence
from hostler_contracts import subjects
from hostler_contracts.usage import FinishedRequest, UndecodableUsage, UsageRecordedV1, decode_usage
from hostler_contracts.usage_seen import SeenBatches
from hostler_domain.errors import FieldError, InvalidFields, TemporaryError
from hostler_kit.logs import Logger

BUCKETS_MAX = 2200
"""Of one answer and key; 90 days of hours and some more."""


@dataclass(slots=True)
class Totals:
    """Sums over some time."""

    requests: int = 0
    failed_requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    audio_seconds: float = 0.0

    def add(self, request: FinishedRequest) -> None:
        """Count one request."""
        self.requests += 1
        self.failed_requests += request.status >= 400 or request.aborted
        self.prompt_tokens += request.prompt_tokens or 0
        self.completion_tokens += request.completion_tokens or 0
        self.audio_seconds += request.audio_seconds or 0.0

    def add_all(self, other: "Totals") -> None:
        """Add other sums to these."""
        self.requests += other.requests
        self.failed_requests += other.failed_requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.audio_seconds += other.audio_seconds


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """What one key used from `start` up to `end`."""

    key_id: str
    start: datetime
    end: datetime
    totals: Totals


class UsageTotals:
    """Hourly sums per key.

    Attributes:
        caught_up: Whether all that was stored at the start is in.
    """

    def __init__(self, logger: Logger | None = None) -> None:
        self._hours: dict[str, dict[datetime, Totals]] = {}
        self._seen = SeenBatches()
        self._logger: Logger = logger or structlog.get_logger()
        self.caught_up = False

    async def run(self, bus: Bus) -> None:
        """Read the stream and follow it, until cancelled. What can't be read is logged and passed over."""
        async with bus.follow(subjects.USAGE, subjects.USAGE_SUBJECTS, start=FromSequence(1)) as messages:
            async for message in messages:
                if isinstance(message, CaughtUp):
                    self.caught_up = True
                    continue
                try:
                    self.take(decode_usage(message.data))
                except UndecodableUsage as error:
                    self._logger.warning("usage.undecodable", seq=message.seq, reason=str(error))

    def take(self, event: UsageRecordedV1) -> None:
        """Count a batch of finished requests, once; those without a key belong to nobody here.

        The stream knows a batch that is published again for two minutes only; what a router had put aside may come later.
        """
        if not self._seen.is_new(event):
            return
        for request in event.data.requests:
            if request.key_id is not None:
                hour = bucket_start(request.started_at, Granularity.HOUR)
                self._hours.setdefault(request.key_id, {}).setdefault(hour, Totals()).add(request)

    def between(
        self, key_ids: Iterable[str], granularity: Granularity, start: datetime, end: datetime
    ) -> tuple[UsageBucket, ...]:
        """What these keys used from `start` up to `end`, key by key and oldest first; empty buckets are left out.

        The first bucket begins at or before `start`, at the bound of its kind, and holds what it holds; so does the last one.

        Raises:
            InvalidFields: the time has too many buckets.
            TemporaryError: the totals are not complete yet.
        """
        if not self.caught_up:
            raise TemporaryError("the usage that was recorded so far is still being read; try again")
        if (end - start) / SHORTEST[granularity] > BUCKETS_MAX:
            raise InvalidFields(
                FieldError("granularity", f"gives more than {BUCKETS_MAX} buckets; choose a longer one")
            )
        first, last = bucket_start(start, granularity), end
        return tuple(
            UsageBucket(key_id, begin, bucket_end(begin, granularity), totals)
            for key_id in key_ids
            for begin, totals in self._summed(key_id, granularity, first, last)
        )

    def _summed(
        self, key_id: str, granularity: Granularity, first: datetime, last: datetime
    ) -> Iterator[tuple[datetime, Totals]]:
        sums: dict[datetime, Totals] = {}
        for hour, totals in self._hours.get(key_id, {}).items():
            begin = bucket_start(hour, granularity)
            if first <= begin < last:
                sums.setdefault(begin, Totals()).add_all(totals)
        yield from sorted(sums.items())
