"""Answers questions about metric history from the store."""

from collections.abc import Sequence
from datetime import datetime

from hostler_api.history.resolutions import resolution_for
from hostler_api.history.series import Spans, read_series
from hostler_api.history.shapes import History, SeriesName
from hostler_api.history.store import SlotStore
from hostler_kit.clock import Clock
from hostler_kit.valkey import ValkeyUnavailable


class StoredHistory:
    """The history that a recorder wrote; `shapes.MetricHistory`."""

    def __init__(self, store: SlotStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def query(
        self,
        job_id: str,
        replica_id: str | None,
        names: Sequence[SeriesName],
        *,
        start: datetime,
        end: datetime,
        samples: int,
    ) -> History:
        """The series of a job or a replica; without the store, gaps and the reason."""
        start_ms, end_ms = round(start.timestamp() * 1000), round(end.timestamp() * 1000)
        now_ms = round(self._clock.now().timestamp() * 1000)
        resolution = resolution_for(start_ms=start_ms, now_ms=now_ms)
        spans = Spans(start_ms, end_ms, samples, now_ms)
        oldest_ms = max(start_ms, now_ms - resolution.kept_seconds * 1000)
        first, last = resolution.slot(oldest_ms), resolution.slot(min(end_ms, now_ms))
        try:
            slots = await self._store.read(job_id, replica_id or "", resolution, first, last)
        except ValkeyUnavailable as error:
            return History(read_series(names, {}, resolution, spans), complete=False, reason=str(error))
        return History(read_series(names, slots, resolution, spans))


class NoHistory:
    """What stands in where no store is configured: every sample is a gap, and the answer says why."""

    async def query(
        self,
        job_id: str,
        replica_id: str | None,
        names: Sequence[SeriesName],
        *,
        start: datetime,
        end: datetime,
        samples: int,
    ) -> History:
        """Gaps."""
        del job_id, replica_id  # nothing is known of any
        start_ms, end_ms = round(start.timestamp() * 1000), round(end.timestamp() * 1000)
        resolution = resolution_for(start_ms=start_ms, now_ms=end_ms)
        series = read_series(names, {}, resolution, Spans(start_ms, end_ms, samples, end_ms))
        return History(series, complete=False, reason="metric history needs HOSTLER_VALKEY_URL")
