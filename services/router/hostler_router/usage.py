"""Finished requests on their way to the USAGE stream: gathered while requests end, cut into batches, published every second.

The recorder is memory only and never waits; the inference handler tells it of every request that was given to a replica. The
reporter publishes. A batch that could not be published is tried again under the same id until it is stored, and given up only
when too many wait; what was not cut yet when the process is killed is lost.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from hostler_bus.errors import BusError, BusUnavailable, StreamFull
from hostler_bus.port import Bus
from hostler_contracts import subjects
from hostler_contracts.usage import FinishedRequest, UsageBatch, UsageRecordedV1, encode_usage
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_router.exchange import Exchange, Outcome
from hostler_router.metrics import RouterMetrics
from hostler_router.table import Entry

_REQUESTS_PER_BATCH: Final = 500
"""About 250 KB, well below the largest message that a server takes by default."""
_BATCHES_WAITING_MAX: Final = 10_000
_AT_ONCE: Final = 16
_APPEND_DEADLINE_SECONDS: Final = 5.0
_CLIENT_GONE_CODE: Final = 499
_NOT_WHOLE: Final = frozenset({Outcome.CLIENT_GONE, Outcome.BROKEN, Outcome.CUT})


class UsageRecorder:
    """Requests that have ended since the last cut, by job."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str], list[FinishedRequest]] = {}

    def ended(self, project: str, job_id: str, request: FinishedRequest) -> None:
        """A request for a job has ended."""
        self._ended.setdefault((project, job_id), []).append(request)

    def cut(self) -> Iterator[tuple[str, str, tuple[FinishedRequest, ...]]]:
        """Everything since the last cut, as project, job and some of its requests."""
        ended, self._ended = self._ended, {}
        for (project, job_id), requests in ended.items():
            for start in range(0, len(requests), _REQUESTS_PER_BATCH):
                yield project, job_id, tuple(requests[start : start + _REQUESTS_PER_BATCH])


def finished(
    exchange: Exchange, entry: Entry, *, status: int, clock: Clock, usage_id: str
) -> FinishedRequest:
    """What is put down of a request that has just ended."""
    duration_seconds = max(clock.monotonic() - exchange.started, 0.0)
    usage = exchange.usage
    return FinishedRequest(
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
        started_at=clock.now() - timedelta(seconds=duration_seconds),
        duration_seconds=round(duration_seconds, 4),
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
        audio_seconds=usage.audio_seconds if usage is not None and usage.audio_seconds else None,
    )


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
                some = [self._waiting[index] for index in range(min(_AT_ONCE, len(self._waiting)))]
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
