"""Waiting for a job to be as a caller wishes, without asking again and again.

The projection wakes those who wait; each looks at the job itself, so a wake-up too many is harmless.
"""

import asyncio
from enum import StrEnum
from typing import Final

from hostler_bus.job_log import JobEntry
from hostler_bus.projection import JobProjection
from hostler_domain.job import Job
from hostler_domain.phases import DesiredPhase, JobPhase

WAIT_SECONDS_MAX: Final = 300.0
_GOING: Final = frozenset({JobPhase.DELETING, JobPhase.DELETED})


class WaitFor(StrEnum):
    """What can be waited for."""

    READY = "ready"
    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


def is_reached(job: Job, wish: WaitFor) -> bool:
    """Whether the job is as wished."""
    match wish:
        case WaitFor.READY:
            return job.status.phase not in _GOING and bool(job.ready_replicas)
        case WaitFor.RUNNING:
            return job.status.phase is JobPhase.RUNNING
        case WaitFor.STOPPED:
            return job.status.phase is JobPhase.STOPPED
        case WaitFor.DELETED:
            return job.deleted


def is_hopeless(job: Job, wish: WaitFor) -> bool:
    """Whether it can't become so unless somebody asks for something else."""
    if wish is WaitFor.DELETED:
        return job.status.desired_phase is not DesiredPhase.DELETED
    if job.status.phase in _GOING or job.status.desired_phase is DesiredPhase.DELETED:
        return True
    if wish is WaitFor.STOPPED:
        return job.status.desired_phase is not DesiredPhase.STOPPED
    return job.status.phase is JobPhase.FAILED or job.status.desired_phase is not DesiredPhase.RUNNING


class JobWaits:
    """Who waits for which job."""

    def __init__(self, jobs: JobProjection, stopping: asyncio.Event) -> None:
        self._jobs = jobs
        self._stopping = stopping
        self._waiting: dict[str, set[asyncio.Event]] = {}
        jobs.on_change(self._wake)

    async def until(self, entry: JobEntry, wish: WaitFor, timeout_seconds: float) -> JobEntry:
        """The job as soon as it is as wished or can't become so, and at the latest when the time is over or the service stops."""
        changed = asyncio.Event()
        job_id = entry.job.job_id
        self._waiting.setdefault(job_id, set()).add(changed)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    entry = self._jobs.get(job_id) or entry
                    over = is_reached(entry.job, wish) or is_hopeless(entry.job, wish)
                    if over or self._stopping.is_set():
                        return entry
                    changed.clear()
                    change = asyncio.create_task(changed.wait())
                    try:
                        await asyncio.wait({change, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        change.cancel()
        except TimeoutError:
            return self._jobs.get(job_id) or entry
        finally:
            stopping.cancel()
            waiting = self._waiting[job_id]
            waiting.discard(changed)
            if not waiting:
                del self._waiting[job_id]

    def _wake(self, entry: JobEntry) -> None:
        for changed in self._waiting.get(entry.job.job_id, ()):
            changed.set()
