"""The policy's memory of every job, in the bucket `autoscaler`: read when this process becomes the leader, written as it learns.

A job of which the bucket has nothing is looked up in the log: every `job.scaled` carries what was remembered then. Losing some of it costs
no more than a later scale-down, so a write that fails is logged and tried again with the next one. What a job's shadow policy remembers is
stored beside, under a key of its own.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.shadows import Shadows
from hostler_bus.port import Bucket, Bus
from hostler_contracts import codec, subjects
from hostler_contracts.codec import UndecodableEvent
from hostler_contracts.job_events import JobScaledV1
from hostler_domain.errors import TemporaryError
from hostler_kit.logs import Logger

_AT_ONCE: Final = 64
_SCALED: Final = "job.scaled"
_SHADOW: Final = ".shadow"
"""What the key of a shadow's memory has behind the job's id, in which there is never a dot."""


class PolicyMemory:
    """State by job id, and when each was stored last."""

    def __init__(self, bus: Bus, *, save_seconds: float, logger: Logger) -> None:
        self._bus = bus
        self._bucket: Bucket = bus.bucket(subjects.BUCKET_AUTOSCALER)
        self._save_every = timedelta(seconds=save_seconds)
        self._logger = logger
        self._states: dict[str, PolicyState] = {}
        self._saved_at: dict[str, datetime] = {}
        self._unsaved: set[str] = set()
        self._with_shadow: set[str] = set()
        self.shadows = Shadows()
        self.loaded = False

    async def load(self) -> None:
        """Read everything that is stored; a state that can't be read counts as a fresh one."""
        self.forget()
        keys = sorted(await self._bucket.keys())
        for some in _batches(keys):
            for key, entry in zip(some, await asyncio.gather(*map(self._bucket.get, some)), strict=True):
                if entry is not None:
                    self._restore(key, entry.value)
        self.loaded = True

    def forget(self) -> None:
        """Hold nothing any more; another process writes now."""
        self._states.clear()
        self._saved_at.clear()
        self._unsaved.clear()
        self._with_shadow.clear()
        self.shadows.clear()
        self.loaded = False

    async def get(self, project: str, job_id: str) -> PolicyState:
        """What is remembered of a job; a fresh state of a new one."""
        state = self._states.get(job_id)
        if state is None:
            state = self._states[job_id] = await self._carried(project, job_id)
        return state

    def keep(self, job_id: str, state: PolicyState, *, now: datetime, at_once: bool) -> None:
        """Remember a state, and have it stored with the next `save` if it is time or must be `at_once`."""
        self._states[job_id] = state
        saved_at = self._saved_at.get(job_id)
        if at_once or saved_at is None or now - saved_at >= self._save_every:
            self._unsaved.add(job_id)

    async def save(self, *, now: datetime) -> None:
        """Store what is due."""
        due, self._unsaved = sorted(self._unsaved), set()
        for some in _batches(due):
            results = await asyncio.gather(*(self._put(job_id) for job_id in some), return_exceptions=True)
            for job_id, result in zip(some, results, strict=True):
                if isinstance(result, TemporaryError):
                    self._unsaved.add(job_id)
                    self._logger.info("state.not_saved", job=job_id, reason=str(result))
                elif isinstance(result, BaseException):
                    raise result
                else:
                    self._saved_at[job_id] = now

    async def drop(self, gone: Callable[[str], bool]) -> tuple[str, ...]:
        """Remove the states of jobs that are gone; gives their ids."""
        dropped = tuple(sorted(job_id for job_id in self._states.keys() | self._with_shadow if gone(job_id)))
        for job_id in dropped:
            await self._bucket.delete(job_id)
            self.shadows.forget(job_id)
            await self._put_shadow(job_id)
            self._states.pop(job_id, None)
            self._saved_at.pop(job_id, None)
            self._unsaved.discard(job_id)
        return dropped

    def _restore(self, key: str, value: bytes) -> None:
        job_id = key.removesuffix(_SHADOW)
        if key == job_id:
            self._states[job_id] = PolicyState.from_json(value)
        else:
            self._with_shadow.add(job_id)
            self.shadows.restore(job_id, value)

    async def _put(self, job_id: str) -> None:
        await self._bucket.put(job_id, self._states[job_id].to_json().encode())
        await self._put_shadow(job_id)

    async def _put_shadow(self, job_id: str) -> None:
        """Store what the job's shadow remembers, or take it away with the shadow."""
        text = self.shadows.to_json(job_id)
        if text is not None:
            self._with_shadow.add(job_id)
            await self._bucket.put(f"{job_id}{_SHADOW}", text.encode())
        elif job_id in self._with_shadow:
            await self._bucket.delete(f"{job_id}{_SHADOW}")
            self._with_shadow.discard(job_id)

    async def _carried(self, project: str, job_id: str) -> PolicyState:
        """What the job's latest `job.scaled` carries."""
        message = await self._bus.last(subjects.JOBS, subjects.job_event(project, job_id, _SCALED))
        if message is None:
            return PolicyState()
        try:
            event = codec.decode(message.data)
        except UndecodableEvent as error:
            self._logger.warning("state.undecodable", job=job_id, reason=str(error))
            return PolicyState()
        carried = event.data.change.policy_state if isinstance(event, JobScaledV1) else None
        return PolicyState() if carried is None else PolicyState.from_json(carried)


def _batches(job_ids: list[str]) -> list[list[str]]:
    return [job_ids[begin : begin + _AT_ONCE] for begin in range(0, len(job_ids), _AT_ONCE)]
