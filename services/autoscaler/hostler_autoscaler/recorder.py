"""Writes decisions down in the stream DECISIONS, so that `hostler explain` can tell why.

The shell notes every decision of every tick; what is due waits in a line and is written beside, many at once, so that deciding never waits
for it. A record that can't be written is counted and let go: it explains, and nothing is decided from it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter

from hostler_autoscaler.records import Made, Noted, is_due, noted, record_of
from hostler_bus.errors import BusError
from hostler_bus.port import Appended, Bus
from hostler_contracts import subjects
from hostler_contracts.decisions import DecisionRecord, ScalingDecidedV1, encode_decision
from hostler_domain.job import Job
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger

_WAITING_MAX: Final = 20_000
"""Twice as many as there are jobs in a large installation, each of which has one record a minute."""
_AT_ONCE: Final = 64


class Recorder(Protocol):
    """Whoever is told of every decision."""

    def note(self, job: Job, made: Made, *, bounds: tuple[str, ...] = (), shadow: Made | None = None) -> None:
        """A decision was made, whether it changes anything or not; comes back at once."""
        ...

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Hold nothing any more of jobs that are gone, by id."""
        ...


class DecisionRecorder:
    """The recorder that writes to the stream."""

    def __init__(self, bus: Bus, *, source: str, logger: Logger, registry: CollectorRegistry) -> None:
        self._bus = bus
        self._source = source
        self._logger = logger
        self._noted: dict[str, Noted] = {}
        self._waiting: deque[tuple[str, str, DecisionRecord]] = deque()
        self._came = asyncio.Event()
        self._written = Counter(
            "hostler_autoscaler_records_total",
            "Decision records by outcome: written, or lost because NATS was away or could not keep up.",
            ("outcome",),
            registry=registry,
        )

    def note(self, job: Job, made: Made, *, bounds: tuple[str, ...] = (), shadow: Made | None = None) -> None:
        """Put a record of it in the line, if one is due."""
        now = noted(made, shadow)
        if not is_due(self._noted.get(job.job_id), now):
            return
        self._noted[job.job_id] = now
        if len(self._waiting) >= _WAITING_MAX:
            self._written.labels("lost").inc()
            return
        record = record_of(made, bounds=bounds, shadow=shadow)
        self._waiting.append((job.spec.project, job.job_id, record))
        self._came.set()

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Hold nothing any more of jobs that are gone."""
        for job_id in [job_id for job_id in self._noted if gone(job_id)]:
            del self._noted[job_id]

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        while True:
            await self._came.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits at this moment."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
            outcomes = await asyncio.gather(*(self._append(*each) for each in batch), return_exceptions=True)
            lost = [each for each in outcomes if isinstance(each, BaseException)]
            self._written.labels("written").inc(len(batch) - len(lost))
            for error in lost:
                if not isinstance(error, BusError):
                    raise error
            if lost:
                self._written.labels("lost").inc(len(lost))
                self._logger.warning("decisions.not_recorded", records=len(lost), reason=str(lost[0]))
        self._came.clear()

    def _append(self, project: str, job_id: str, record: DecisionRecord) -> "asyncio.Future[Appended]":
        event = ScalingDecidedV1(
            id=new_id(),
            source=self._source,
            subject=job_id,
            time=record.at,
            project=project,
            data=record,
        )
        return self._bus.append_soon(
            subjects.decisions(project, job_id), encode_decision(event), msg_id=event.id
        )
