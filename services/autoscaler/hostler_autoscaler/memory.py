"""The policy's memory of every job, in the bucket `autoscaler`: read when this process becomes the leader, written as it learns.

Losing some of it costs no more than a later scale-down, so a write that fails is logged and tried again with the next one.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from hostler_autoscaler.state import ScalerState
from hostler_bus.port import Bucket
from hostler_contracts.catalogue import BadRecord, Codec
from hostler_domain.errors import TemporaryError
from hostler_kit.logs import Logger

SCALER_STATES = Codec("scaler state", TypeAdapter(ScalerState))


class ScalerMemory:
    """State by job id, and when each was stored last."""

    def __init__(self, bucket: Bucket, *, save_seconds: float, logger: Logger) -> None:
        self._bucket = bucket
        self._save_every = timedelta(seconds=save_seconds)
        self._logger = logger
        self._states: dict[str, ScalerState] = {}
        self._saved_at: dict[str, datetime] = {}
        self.loaded = False

    async def load(self) -> None:
        """Read everything that is stored; a state that can't be read counts as none."""
        self.forget()
        for job_id in await self._bucket.keys():
            entry = await self._bucket.get(job_id)
            if entry is None:
                continue
            try:
                self._states[job_id] = SCALER_STATES.decode(entry.value)
            except BadRecord as error:
                self._logger.warning("state.undecodable", job=job_id, reason=str(error))
        self.loaded = True

    def forget(self) -> None:
        """Hold nothing any more; another process writes now."""
        self._states.clear()
        self._saved_at.clear()
        self.loaded = False

    def get(self, job_id: str) -> ScalerState:
        """What is remembered of a job; an empty state of a new one."""
        return self._states.get(job_id, ScalerState())

    async def keep(self, job_id: str, state: ScalerState, *, now: datetime, at_once: bool) -> None:
        """Remember a state, and store it if it is time or must be `at_once`."""
        self._states[job_id] = state
        saved_at = self._saved_at.get(job_id)
        if not at_once and saved_at is not None and now - saved_at < self._save_every:
            return
        try:
            await self._bucket.put(job_id, SCALER_STATES.encode(state))
        except TemporaryError as error:
            self._logger.info("state.not_saved", job=job_id, reason=str(error))
        else:
            self._saved_at[job_id] = now

    async def drop(self, gone: Callable[[str], bool]) -> tuple[str, ...]:
        """Remove the states of jobs that are gone; gives their ids."""
        dropped = tuple(job_id for job_id in self._states if gone(job_id))
        for job_id in dropped:
            await self._bucket.delete(job_id)
            del self._states[job_id]
            self._saved_at.pop(job_id, None)
        return dropped
