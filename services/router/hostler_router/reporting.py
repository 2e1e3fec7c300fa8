"""Publishes what the recorder counted: one window per living job and period, on the METRICS stream."""

import asyncio
from collections.abc import Callable, Mapping
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
_SOON_SECONDS: Final = 0.25
"""Between two windows that did not wait for the end of their period."""


class WindowReporter:
    """Cuts and publishes windows."""

    def __init__(
        self,
        bus: Bus,
        table: RouteTable,
        recorder: WindowRecorder,
        outstanding: Outstanding,
        waiting: Callable[[], Mapping[str, int]],
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
        self._waiting = waiting
        self._soon = asyncio.Event()
        self._name = name
        self._period_seconds = period_seconds
        self._clock = clock
        self._metrics = metrics
        self._logger = logger
        self._started_at = clock.now()
        self._started = clock.monotonic()

    async def run(self) -> None:
        """Publish each period, and at once when somebody begins to wait for a job that sleeps, until cancelled."""
        while True:
            period = asyncio.ensure_future(self._clock.sleep(self._period_seconds))
            soon = asyncio.ensure_future(self._soon.wait())
            try:
                await asyncio.wait((period, soon), return_when=asyncio.FIRST_COMPLETED)
            finally:
                period.cancel()
                soon.cancel()
            await self.publish()
            if self._soon.is_set():
                self._soon.clear()
                await self._clock.sleep(_SOON_SECONDS)

    def publish_soon(self) -> None:
        """Don't wait for the end of the period: a job has to wake up."""
        self._soon.set()

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
            waiting=self._waiting(),
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
