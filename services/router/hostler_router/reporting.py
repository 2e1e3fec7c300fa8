"""Publishes what the recorder counted: one window per living job and period, on the METRICS stream.

A job that sleeps is not to wait for the end of the period: whoever sees a request begin to wait for one says `hurry`, and its
window goes out at once, once a period.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Final

from hostler_bus.errors import BusError
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.envelope import TraceContext
from hostler_contracts.load import LoadWindow, LoadWindowV1, encode_window
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_router.exchange import Exchange
from hostler_router.metrics import RouterMetrics
from hostler_router.table import RouteTable
from hostler_router.windows import Present, WindowRecorder

_AT_ONCE: Final = 64
_SECONDS_MIN: Final = 0.001


@dataclass(frozen=True, slots=True)
class _Moment:
    """One moment by both clocks."""

    at: datetime
    monotonic: float

    def seconds_to(self, later: "_Moment") -> float:
        """The time from here to there; a window has a length, however short."""
        return max(later.monotonic - self.monotonic, _SECONDS_MIN)


class WindowReporter:
    """Cuts and publishes windows."""

    def __init__(
        self,
        bus: Bus,
        table: RouteTable,
        recorder: WindowRecorder,
        present: Callable[[], Present],
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
        self._present = present
        self._name = name
        self._period_seconds = period_seconds
        self._clock = clock
        self._metrics = metrics
        self._logger = logger
        self._began = _Moment(clock.now(), clock.monotonic())
        # Jobs whose window of this period went out early, and when; their next one begins there.
        self._early: dict[str, _Moment] = {}
        self._hurried: dict[str, TraceContext | None] = {}
        self._called = asyncio.Event()

    async def run(self) -> None:
        """Publish each period, and early what is hurried, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._each_period())
            group.create_task(self._as_called())

    def hurry(self, job_id: str, waiting: Exchange | None = None) -> None:
        """Have the window of a job go out now, as a part of the trace of the request that waits.

        Costs nothing to say again, so every request that begins to wait may.
        """
        if job_id not in self._early and job_id not in self._hurried:
            self._hurried[job_id] = (
                None
                if waiting is None or waiting.trace is None
                else TraceContext(waiting.trace, waiting.tracestate)
            )
            self._called.set()

    async def publish(self, *, leaves: bool = False) -> None:
        """Cut a window for every living job and publish it. A window that can't be published is lost, and that is logged.

        Args:
            leaves: They are this router's last ones.
        """
        now = _Moment(self._clock.now(), self._clock.monotonic())
        began, early, self._began, self._early = self._began, self._early, now, {}
        projects = {entry.job_id: entry.project for entry in self._table.entries}
        windows = self._recorder.cut(
            {entry.job_id: [each.replica_id for each in entry.endpoints] for entry in self._table.entries},
            replace(self._present(), leaves=leaves),
            router=self._name,
            started_at=began.at,
            seconds=began.seconds_to(now),
        )
        windows = [
            window.model_copy(update={"started_at": since.at, "seconds": since.seconds_to(now)})
            if (since := early.get(window.job_id))
            else window
            for window in windows
        ]
        while windows:
            some, windows = windows[:_AT_ONCE], windows[_AT_ONCE:]
            results = await asyncio.gather(
                *(self._append(window, projects[window.job_id]) for window in some)
            )
            lost = results.count(False)
            if lost:
                # The rest would only wait for the same answer, and be old by then.
                self._lost(lost + len(windows))
                return

    async def publish_early(self) -> None:
        """Publish the windows of the jobs that were hurried, if they live."""
        self._called.clear()
        hurried, self._hurried = sorted(self._hurried.items(), key=itemgetter(0)), {}
        for job_id, trace in hurried:
            entry = self._table.get(job_id)
            if entry is None:
                continue
            now = _Moment(self._clock.now(), self._clock.monotonic())
            began, self._early[job_id] = self._early.get(job_id, self._began), now
            window = self._recorder.cut_one(
                job_id,
                [each.replica_id for each in entry.endpoints],
                self._present(),
                router=self._name,
                started_at=began.at,
                seconds=began.seconds_to(now),
            )
            if not await self._append(window, entry.project, trace):
                self._lost(1)

    async def _each_period(self) -> None:
        while True:
            await self._clock.sleep(self._period_seconds)
            await self.publish()

    async def _as_called(self) -> None:
        while True:
            await self._called.wait()
            await self.publish_early()

    def _lost(self, windows: int) -> None:
        self._metrics.windows_lost(windows)
        self._logger.warning("windows.lost", windows=windows)

    async def _append(self, window: LoadWindow, project: str, trace: TraceContext | None = None) -> bool:
        event = LoadWindowV1(
            id=new_id(),
            source=f"/hostler/router/{self._name}",
            subject=window.job_id,
            time=self._clock.now(),
            project=project,
            traceparent=None if trace is None else trace.traceparent,
            tracestate=None if trace is None else trace.tracestate,
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
