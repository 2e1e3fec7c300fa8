"""Answers the apis that ask what a job's traffic would have led to under other settings. Every autoscaler does, leader or not, one at a time."""

import asyncio
import os
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Final

from hostler_autoscaler.what_if.worker import DECISION, WINDOW, Task
from hostler_bus.errors import BusError
from hostler_bus.port import Bus, CaughtUp, Served, SinceTime
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.what_if import SIMULATION_SECONDS_MAX, SimulationAnswer, SimulationQuestion
from hostler_domain.errors import TemporaryError
from hostler_domain.job import Job
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger

_AGAIN_SECONDS: Final = 0.5
_READ_SECONDS: Final = 15.0
_WINDOWS_SECONDS: Final = 15 * 60


class SimulationAnswers:
    """The answering side."""

    def __init__(self, bus: Bus, jobs: JobProjection, clock: Clock, logger: Logger) -> None:
        self._bus = bus
        self._jobs = jobs
        self._clock = clock
        self._logger = logger
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        """Answer until cancelled."""
        served: Served | None = None
        while served is None:
            # Without the bus nobody can ask; the next time may be better.
            with suppress(BusError):
                served = await self._bus.serve(subjects.AUTOSCALER_SIMULATE, self.answer, queue="autoscaler")
            if served is None:
                await self._clock.sleep(_AGAIN_SECONDS)
        try:
            await asyncio.Event().wait()
        finally:
            await served.close()

    async def answer(self, data: bytes) -> bytes:
        """One answer.

        Raises:
            TemporaryError: another question is at hand, or this one can't be answered now.
        """
        question = SimulationQuestion.model_validate_json(data)
        entry = self._jobs.get(question.job_id)
        if entry is None:
            raise TemporaryError("the autoscaler does not know the job yet")
        if self._busy.locked():
            return _refused("another simulation is under way; ask again in a minute")
        async with self._busy:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    lines = await self._lines(question, entry.job)
            except TimeoutError:
                raise TemporaryError("what is recorded can't be read at the moment") from None
            return await self._replayed(lines, question)

    async def _lines(self, question: SimulationQuestion, job: Job) -> list[bytes]:
        now = self._clock.now()
        task = Task(
            question=question,
            scaling=job.spec.scaling,
            outstanding_max=job.spec.routing.concurrency_per_replica,
            now=now,
        )
        lines = [task.model_dump_json().encode()]
        for mark, stream, subject, seconds in (
            (
                DECISION,
                subjects.DECISIONS,
                subjects.decisions(job.spec.project, job.job_id),
                question.back_seconds,
            ),
            (
                WINDOW,
                subjects.METRICS,
                subjects.metrics(job.spec.project, job.job_id),
                min(question.back_seconds, _WINDOWS_SECONDS),
            ),
        ):
            start = SinceTime(now - timedelta(seconds=seconds))
            async with self._bus.follow(stream, subject, start=start) as messages:
                async for message in messages:
                    if isinstance(message, CaughtUp):
                        break
                    lines.append(mark + message.data)
        return lines

    async def _replayed(self, lines: list[bytes], question: SimulationQuestion) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "hostler_autoscaler.what_if.worker",
            # It needs no password of ours.
            env={name: value for name, value in os.environ.items() if not name.startswith("HOSTLER_")},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SIMULATION_SECONDS_MAX):
                out, errors = await process.communicate(b"\n".join(lines) + b"\n")
        except TimeoutError:
            return _refused(f"it took longer than {SIMULATION_SECONDS_MAX:g} s; look back less far")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0 or not out:
            self._logger.error(
                "simulation.failed",
                job=question.job_id,
                status=process.returncode,
                reason=errors.decode(errors="replace")[-2000:],
            )
            return _refused("the simulation failed; the autoscaler's log says how")
        return out


def _refused(reason: str) -> bytes:
    return SimulationAnswer(refusal=reason).model_dump_json().encode()
