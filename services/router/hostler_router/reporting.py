"""Publishes what the recorder counted: one window per living job and period, on the METRICS stream."""

import asyncio
from typing import Final

from hostler_bus.errors import BusError
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.load import LoadWindow, LoadWindowV1, encode_window
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_router.metrics import RouterMetrics
from hostler_router.outstanding import Outstanding
from hostler_router.table import RouteTable
from hostler_router.windows import WindowRecorder

_AT_ONCE: Final = 64


class WindowReporter:
    """Cuts and publishes windows."""

    def __init__(
        self,
        bus: Bus,
        table: RouteTable,
        recorder: WindowRecorder,
        outstanding: Outstanding,
        *,
        name: str,
        period_seconds: float,
        clock: Clock,
        metrics: RouterMetrics,
        logger: Logger,
    ) -> None:
        self._bus = bus
        self._table = table
        self._recorder = recorder
        self._outstanding = outstanding
        self._name = name
        self._period_seconds = period_seconds
        self._clock = clock
        self._metrics = metrics
        self._logger = logger
        self._started_at = clock.now()
        self._started = clock.monotonic()

    async def run(self) -> None:
        """Publish each period, until cancelled."""
        while True:
            await self._clock.sleep(self._period_seconds)
            await self.publish()

    async def publish(self) -> None:
        """Cut a window for every living job and publish it. A window that can't be published is lost, and that is logged."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        projects = {entry.job_id: entry.project for entry in self._table.entries}
        windows = self._recorder.cut(
            {entry.job_id: [each.replica_id for each in entry.endpoints] for entry in self._table.entries},
            self._outstanding.counts,
            router=self._name,
            started_at=self._started_at,
            seconds=max(monotonic - self._started, 0.001),
        )
        self._started_at, self._started = now, monotonic
        while windows:
            some, windows = windows[:_AT_ONCE], windows[_AT_ONCE:]
            results = await asyncio.gather(
                *(self._append(window, projects[window.job_id]) for window in some)
            )
            lost = results.count(False)
            if lost:
                # The rest would only wait for the same answer, and be old by then.
                self._metrics.windows_lost(lost + len(windows))
                self._logger.warning("windows.lost", windows=lost + len(windows))
                return

    async def _append(self, window: LoadWindow, project: str) -> bool:
        event = LoadWindowV1(
            id=new_id(),
            source=f"/hostler/router/{self._name}",
            subject=window.job_id,
            time=self._clock.now(),
            project=project,
            data=window,
        )
        try:
            await self._bus.append(
                subjects.metrics(project, window.job_id),
                encode_window(event),
                msg_id=event.id,
                deadline_seconds=self._period_seconds,
            )
        except BusError:
            return False
        return True
