"""Publishes finished requests on the USAGE stream, a batch per job every second.

A batch that could not be published is tried again under the same id until it is stored, and given up only when too many wait;
what was not published yet when the process is killed is lost.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hostler_bus.errors import BusError, BusUnavailable, StreamFull
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.usage import FinishedRequest, UsageBatch, UsageRecordedV1, encode_usage
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_router.metrics import RouterMetrics
from hostler_router.usage import UsageRecorder

_BATCHES_WAITING_MAX: Final = 10_000
_AT_ONCE: Final = 16
_APPEND_DEADLINE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    subject: str
    event_id: str
    requests: int
    data: bytes


class UsageReporter:
    """Publishes what the recorder holds."""

    def __init__(
        self,
        bus: Bus,
        recorder: UsageRecorder,
        *,
        name: str,
        period_seconds: float,
        clock: Clock,
        metrics: RouterMetrics,
        logger: Logger,
    ) -> None:
        self._bus = bus
        self._recorder = recorder
        self._name = name
        self._period_seconds = period_seconds
        self._clock = clock
        self._metrics = metrics
        self._logger = logger
        self._waiting: deque[_Waiting] = deque()
        self._publishing = asyncio.Lock()

    async def run(self) -> None:
        """Publish each period, until cancelled."""
        while True:
            await self._clock.sleep(self._period_seconds)
            await self.publish()

    async def publish(self) -> None:
        """Cut what there is and publish all that waits, oldest first; what can't be published now waits for the next time."""
        for project, job_id, requests in self._recorder.cut():
            self._waiting.append(self._encoded(project, job_id, requests))
        self._drop_oldest()
        async with self._publishing:
            while self._waiting:
                some = list(islice(self._waiting, _AT_ONCE))
                done = await asyncio.gather(*(self._append(each) for each in some))
                for each, settled in zip(some, done, strict=True):
                    if settled:
                        self._waiting.remove(each)
                if not all(done):
                    self._logger.warning("usage.waiting", batches=len(self._waiting))
                    return

    def _encoded(self, project: str, job_id: str, requests: tuple[FinishedRequest, ...]) -> _Waiting:
        event = UsageRecordedV1(
            id=new_id(),
            source=f"/hostler/router/{self._name}",
            subject=job_id,
            time=self._clock.now(),
            project=project,
            data=UsageBatch(router=self._name, job_id=job_id, requests=requests),
        )
        return _Waiting(subjects.usage(project, job_id), event.id, len(requests), encode_usage(event))

    async def _append(self, batch: _Waiting) -> bool:
        """Whether the batch needs no more trying: it is stored, or can never be."""
        try:
            await self._bus.append(
                batch.subject, batch.data, msg_id=batch.event_id, deadline_seconds=_APPEND_DEADLINE_SECONDS
            )
        except (BusUnavailable, StreamFull):
            return False
        except BusError as error:
            self._lost(batch, str(error))
        return True

    def _drop_oldest(self) -> None:
        while len(self._waiting) > _BATCHES_WAITING_MAX:
            self._lost(self._waiting.popleft(), "too many batches wait")

    def _lost(self, batch: _Waiting, reason: str) -> None:
        self._metrics.usage_lost(batch.requests)
        self._logger.error("usage.lost", subject=batch.subject, requests=batch.requests, reason=reason)
