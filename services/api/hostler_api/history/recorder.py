"""Records metric history: follows the load windows, folds them into slots, writes those.

One of the api processes does this, by lease. It starts from the oldest window that the stream still has; what was folded in
before is passed over, so a crash, a hand-over or a store that was away costs nothing as long as it lasts less than the stream
remembers. Whenever anything does not go as planned it starts over in just that way.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from hostler_api.history.resolutions import RESOLUTIONS
from hostler_api.history.slots import window_ms
from hostler_api.history.store import SlotKey, SlotStore, StoredSlot
from hostler_bus.leases import Lease
from hostler_bus.port import Bus, CaughtUp, SinceTime
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.load import LoadWindow, UndecodableWindow, decode_window
from hostler_domain.errors import TemporaryError
from hostler_domain.job import Job
from hostler_domain.phases import DesiredPhase
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger

STREAM_KEPT_SECONDS: Final = 15 * 60
"""How far back METRICS reaches."""
_LATE_SECONDS: Final = 60
_WAITING_MAX: Final = 20_000
"""Windows that may wait for the next write; more than one period's of ten thousand jobs."""


class HistoryRecorder:
    """Writes slots while its process holds the lease."""

    def __init__(
        self,
        bus: Bus,
        jobs: JobProjection,
        store: SlotStore,
        lease: Lease,
        *,
        period_seconds: float,
        clock: Clock,
        logger: Logger,
        registry: CollectorRegistry,
    ) -> None:
        self._bus = bus
        self._jobs = jobs
        self._store = store
        self._lease = lease
        self._period_seconds = period_seconds
        self._clock = clock
        self._logger = logger
        self._slots: dict[SlotKey, StoredSlot] = {}
        self._waiting: asyncio.Queue[LoadWindow] = asyncio.Queue(_WAITING_MAX)
        self._fleet_at: datetime | None = None
        self._recorded = Counter(
            "hostler_history_windows_total", "Load windows taken into metric history.", registry=registry
        )
        self._failures = Counter(
            "hostler_history_restarts_total", "Times that recording had to start over.", registry=registry
        )
        self._leads = Gauge(
            "hostler_history_leader", "1 in the process that records metric history.", registry=registry
        )

    async def run(self) -> None:
        """Record whenever the lease is held; runs until cancelled."""
        while True:
            self._leads.set(self._lease.held)
            if not self._lease.held:
                await self._lease.changed()
                continue
            try:
                await self._record()
            except TemporaryError as error:
                self._failures.inc()
                self._logger.warning("history.starts_over", reason=str(error))
                await self._clock.sleep(error.delay_seconds)

    async def _record(self) -> None:
        """Record from the beginning of what the stream has, until the lease is lost.

        Raises:
            TemporaryError: something did not work; what was not written comes again.
        """
        self._slots.clear()
        self._waiting = asyncio.Queue(_WAITING_MAX)
        self._fleet_at = None
        reading = asyncio.create_task(self._read(self._waiting))
        try:
            while self._lease.held and not reading.done():
                await self._clock.sleep(self._period_seconds)
                await self._write()
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, into: asyncio.Queue[LoadWindow]) -> None:
        start = SinceTime(self._clock.now() - timedelta(seconds=STREAM_KEPT_SECONDS))
        async with self._bus.follow(subjects.METRICS, subjects.METRICS_SUBJECTS, start=start) as messages:
            async for message in messages:
                if isinstance(message, CaughtUp):
                    continue
                try:
                    window = decode_window(message.data).data
                except UndecodableWindow as error:
                    self._logger.warning("window.undecodable", subject=message.subject, reason=str(error))
                    continue
                await into.put(window)

    async def _write(self) -> None:
        """Fold what came since the last time, and write every slot that changed."""
        windows = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
        now = self._clock.now()
        fleet = self._fleet(now)
        needed = {key for window in windows for key in _keys(window)}
        needed |= {key for job, at_ms, _ in fleet for key in _job_keys(job.job_id, at_ms)}
        missing = needed - self._slots.keys()
        if missing:
            self._slots |= await self._store.load(missing)
        changed: set[SlotKey] = set()
        for window in windows:
            changed |= self._fold(window)
        for job, at_ms, seconds in fleet:
            ready = len(job.ready_replicas)
            for key in _job_keys(job.job_id, at_ms):
                if self._slots[key].slot.take_fleet(at_ms, seconds, desired=job.wanted_replicas, ready=ready):
                    changed.add(key)
        if changed:
            self._slots |= await self._store.replace({key: self._slots[key] for key in changed})
        self._forget(now)
        self._recorded.inc(len(windows))

    def _fold(self, window: LoadWindow) -> set[SlotKey]:
        changed: set[SlotKey] = set()
        for key in _keys(window):
            slot = self._slots[key].slot
            load = window.replicas.get(key.replica_id)
            if slot.take(window) if load is None else slot.take_replica(window, load):
                changed.add(key)
        return changed

    def _fleet(self, now: datetime) -> list[tuple[Job, int, float]]:
        """The living jobs, each with the span for which its present numbers stand; none at the first time."""
        since, self._fleet_at = self._fleet_at, now
        if since is None or now <= since:
            return []
        at_ms, seconds = round(since.timestamp() * 1000), (now - since).total_seconds()
        return [
            (entry.job, at_ms, seconds)
            for entry in self._jobs.jobs.values()
            if entry.job.status.desired_phase is not DesiredPhase.DELETED
        ]

    def _forget(self, now: datetime) -> None:
        """Keep in memory only slots that are still likely to get something; a late window loads its own again."""
        latest_ms = round(now.timestamp() * 1000) - _LATE_SECONDS * 1000
        for key in list(self._slots):
            if (key.number + 1) * key.resolution.slot_seconds * 1000 < latest_ms:
                del self._slots[key]


def _job_keys(job_id: str, at_ms: int) -> Iterator[SlotKey]:
    for resolution in RESOLUTIONS:
        yield SlotKey(job_id, "", resolution, resolution.slot(at_ms))


def _keys(window: LoadWindow) -> Iterator[SlotKey]:
    at_ms = window_ms(window)
    yield from _job_keys(window.job_id, at_ms)
    for replica_id in window.replicas:
        for resolution in RESOLUTIONS:
            yield SlotKey(window.job_id, replica_id, resolution, resolution.slot(at_ms))
