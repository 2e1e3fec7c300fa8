"""Carrying out a plan: each action on the backend and the log, at most one at a time per replica.

Starts and ends take their time, so they run as tasks; while one runs its replica is busy and no plan touches it. An append that
lost its race is dropped, for the next look to decide afresh; only how a replica ended is written whoever else writes.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

from hostler_bus.errors import SequenceConflict
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.codec import UndecodableEvent
from hostler_domain.changes import Change, ReplicaChange, ReplicaFailed, ReplicaTerminating
from hostler_domain.commands import FinishDelete, decide
from hostler_domain.errors import IllegalTransition, PermanentError, TemporaryError
from hostler_domain.evolve import evolve
from hostler_domain.job import Job
from hostler_domain.replica_states import SERVING_STATES, ReplicaReason
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_provisioner.backend import Backend
from hostler_provisioner.launches import Launches
from hostler_provisioner.plan import Action, EndReplica, FinishJob, Report, StartReplica

_LONG_END_SECONDS = 15.0
"""An end that takes longer is told, and another replica may take the place."""


class Effects:
    """Applies actions."""

    def __init__(
        self,
        bus: Bus,
        log: JobLog,
        jobs: JobProjection,
        backend: Backend,
        launches: Launches,
        clock: Clock,
        logger: Logger,
        *,
        stop_grace_seconds: float,
        done: Callable[[], None],
    ) -> None:
        """Make the hands of a provisioner; `done` is called whenever a task has ended, so that it looks again."""
        self._log = log
        self._jobs = jobs
        self._backend = backend
        self._launches = launches
        self._secrets = bus.bucket(subjects.BUCKET_SECRETS)
        self._clock = clock
        self._logger = logger
        self._stop_grace_seconds = stop_grace_seconds
        self._done = done
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> frozenset[str]:
        """Replicas and jobs with an action under way."""
        return frozenset(self._tasks)

    async def apply(self, actions: tuple[Action, ...]) -> None:
        """Carry out every action, or begin to."""
        for action in actions:
            match action:
                case StartReplica():
                    self._begin(action.replica_id, self._start(action))
                case EndReplica():
                    self._begin(action.replica_id, self._end(action))
                case Report():
                    await self._append(action.job_id, action.change)
                case FinishJob():
                    self._begin(action.job_id, self._finish(action.job_id))

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, key: str, work: Coroutine[None, None, None]) -> None:
        """Work on a replica or a job, which is busy meanwhile."""
        task = asyncio.create_task(work, name=f"effect-{key}")
        self._tasks[key] = task

        def ended(finished: asyncio.Task[None]) -> None:
            self._tasks.pop(key, None)
            error = None if finished.cancelled() else finished.exception()
            if isinstance(error, TemporaryError):
                self._logger.warning("replica.retry", replica=key, reason=str(error))
            elif error is not None:
                self._logger.error("replica.action_failed", replica=key, reason=repr(error), exc_info=error)
            self._done()

        task.add_done_callback(ended)

    async def _start(self, action: StartReplica) -> None:
        entry = self._jobs.get(action.job_id)
        replica = entry.job.replica(action.replica_id) if entry else None
        if entry is None or replica is None or replica.ended:
            return
        try:
            launch = await self._launches.launch(entry.job, replica)
            self._logger.info(
                "replica.start", job=action.job_id, replica=action.replica_id, runtime=launch.runtime
            )
            await self._backend.start(launch)
        except PermanentError as error:
            failed = ReplicaFailed(
                self._clock.now(), action.replica_id, ReplicaReason.CANNOT_START, str(error)
            )
            await self._append(action.job_id, failed)

    async def _end(self, action: EndReplica) -> None:
        self._logger.info("replica.end", job=action.job_id, replica=action.replica_id, reason=action.why)
        await self._stop(action)
        if action.then is not None:
            await self._record_end(action.job_id, action.then)

    async def _stop(self, action: EndReplica) -> None:
        """End it. One that takes long is said to be ending, so that another can take its place; what it holds it holds to the end."""
        stopping = asyncio.ensure_future(self._backend.stop(action.replica_id, self._stop_grace_seconds))
        try:
            await asyncio.wait({stopping}, timeout=_LONG_END_SECONDS)
            entry = self._jobs.get(action.job_id)
            replica = entry.job.replica(action.replica_id) if entry else None
            # One that never served goes on counting as a start, so that the failure is counted as a failed start.
            if not stopping.done() and replica is not None and replica.state in SERVING_STATES:
                detail = f"{action.why}; what is left of it is being taken away"
                await self._append(
                    action.job_id, ReplicaTerminating(self._clock.now(), action.replica_id, detail)
                )
            await stopping
        finally:
            stopping.cancel()

    async def _record_end(self, job_id: str, change: ReplicaChange) -> None:
        """Append how a replica ended, whoever else writes to the job meanwhile.

        Unlike other reports it can't be made again by a later look: the process is gone, and with it what it ended of.
        """
        known = self._jobs.get(job_id)
        if known is None:
            return
        entry = await self._log.execute(
            known.job.spec.project, job_id, lambda job: (change,) if _fits(job, change) else ()
        )
        if entry is not None:
            self._jobs.apply(entry)

    async def _finish(self, job_id: str) -> None:
        """What the backend has of it and its secrets first, the tombstone last: a crash between them does the first again."""
        await self._backend.forget(job_id)
        entry = self._jobs.get(job_id)
        if entry is None:
            return
        spec = entry.job.spec
        for secret in (spec.hf_token_secret, spec.external.api_key_secret if spec.external else None):
            if secret is not None:
                await self._secrets.delete(secret)
        for change in decide(entry.job, FinishDelete(self._clock.now())):
            await self._append(job_id, change)

    async def _append(self, job_id: str, change: Change) -> None:
        entry = self._jobs.get(job_id)
        if entry is None:
            return
        try:
            self._jobs.apply(await self._log.append(entry, change))
        except SequenceConflict:
            self._logger.debug("append.raced", job=job_id, change=type(change).__name__)
            await self._catch_up(entry)
        except IllegalTransition as error:
            # The job moved on while the action was under way, as when a replica that failed had been drained meanwhile.
            self._logger.info("append.overtaken", job=job_id, change=type(change).__name__, reason=str(error))

    async def _catch_up(self, entry: JobEntry) -> None:
        """Take in what was faster, so that the next look does not decide from the same old job and lose again and again.

        Where that can't be read there is nothing new to look at, and to look again would spin.
        """
        with suppress(UndecodableEvent):
            newest = await self._log.load(entry.job.spec.project, entry.job.job_id)
            if newest is not None and self._jobs.apply(newest):
                self._done()


def _fits(job: Job | None, change: ReplicaChange) -> bool:
    """Whether the replica has not ended yet, and can end so."""
    replica = None if job is None else job.replica(change.replica_id)
    if replica is None or replica.ended:
        return False
    try:
        evolve(job, change)
    except IllegalTransition:
        return False
    return True
