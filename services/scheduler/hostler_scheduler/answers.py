"""Answers the apis that ask why a job has no place. Every scheduler does, leader or not: all of them know the same."""

import asyncio
from contextlib import suppress
from typing import Final

from hostler_bus.errors import BusError
from hostler_bus.port import Bus, Served
from hostler_contracts import subjects
from hostler_contracts.placements import PlacementQuestion
from hostler_domain.errors import TemporaryError
from hostler_kit.clock import Clock
from hostler_scheduler.explain import explained
from hostler_scheduler.service import Projections

_AGAIN_SECONDS: Final = 0.5


class PlacementAnswers:
    """The answering side."""

    def __init__(self, bus: Bus, known: Projections, clock: Clock, *, node_stale_seconds: float) -> None:
        self._bus = bus
        self._known = known
        self._clock = clock
        self._node_stale_seconds = node_stale_seconds

    async def run(self) -> None:
        """Answer until cancelled."""
        served: Served | None = None
        while served is None:
            # Without the bus nobody can ask; the next time may be better.
            with suppress(BusError):
                served = await self._bus.serve(subjects.SCHEDULER_EXPLAIN, self.answer, queue="scheduler")
            if served is None:
                await self._clock.sleep(_AGAIN_SECONDS)
        try:
            await asyncio.Event().wait()
        finally:
            await served.close()

    async def answer(self, data: bytes) -> bytes:
        """One answer."""
        question = PlacementQuestion.model_validate_json(data)
        if not self._known.caught_up:
            raise TemporaryError("the scheduler still reads the log and the catalogues")
        found = explained(
            self._known.view(self._known.jobs.jobs),
            question.job_id,
            now=self._clock.now(),
            node_stale_seconds=self._node_stale_seconds,
        )
        return found.model_dump_json().encode()
