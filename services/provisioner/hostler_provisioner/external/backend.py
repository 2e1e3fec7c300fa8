"""The `external` backend: each replica is a server that somebody else runs, which is probed and never started or stopped.

The reconciler calls it through the port of `hostler_provisioner.backend`. It keeps nothing on disk: the log says which replicas
there are and the job where their servers stand, so after a restart, or when another provisioner takes over, each is found
again with the first observation. What a server writes to its log is its owner's.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp

from hostler_bus.projection import JobProjection
from hostler_domain.errors import PermanentError
from hostler_domain.external import EXTERNAL
from hostler_domain.job import Job, Replica
from hostler_domain.replica_states import ReplicaState
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_provisioner.backend import Launch, LogPart, NodeFacts, ObservedReplica, Step
from hostler_provisioner.external.probe import look
from hostler_provisioner.launches import Launches
from hostler_provisioner.local.steps import Answer, Health, next_health

_PROBE_SECONDS = 1.0
_PROBE_TIMEOUT_SECONDS = 3.0


@dataclass(slots=True)
class _Watched:
    """A server under watch, and what is known of it."""

    replica_id: str
    job_id: str
    url: str | None
    key: str = field(repr=False)
    health: Health
    since: datetime
    detail: str
    task: asyncio.Task[None] | None = None


class ExternalBackend:
    """Replicas as servers that run already. See `hostler_provisioner.backend.Backend` for what each call promises.

    Attributes:
        cluster: Its name in placements.
        changed: Set whenever a replica came to another step; whoever waits on it clears it.
    """

    def __init__(
        self,
        jobs: JobProjection,
        launches: Launches,
        *,
        clock: Clock,
        logger: Logger,
        probe_seconds: float = _PROBE_SECONDS,
        probe_timeout_seconds: float = _PROBE_TIMEOUT_SECONDS,
    ) -> None:
        self.cluster = EXTERNAL
        self.changed = asyncio.Event()
        self._jobs = jobs
        self._launches = launches
        self._clock = clock
        self._logger = logger
        self._probe_seconds = probe_seconds
        self._probe_timeout_seconds = probe_timeout_seconds
        self._session: aiohttp.ClientSession | None = None
        self._watched: dict[str, _Watched] = {}

    def fence(self, may_act: Callable[[], bool]) -> None:  # as the port has it
        """Nothing to ask: nothing is changed."""

    async def nodes(self) -> tuple[NodeFacts, ...]:
        """No machine of ours: placements name the servers themselves."""
        return ()

    async def start(self, launch: Launch) -> None:
        """Begin to probe the server."""
        url = _address(launch)
        if launch.replica_id not in self._watched:
            self._watch(launch, url, Health(Step.BOOTING), "not asked yet")

    async def observe(self) -> tuple[ObservedReplica, ...]:
        """What the probes know, by id; those that the log has and this process does not are asked first."""
        await asyncio.gather(*(self._adopt(job, replica) for job, replica in self._unknown()))
        return tuple(_observed(self._watched[replica_id]) for replica_id in sorted(self._watched))

    async def stop(self, replica_id: str, grace_seconds: float) -> None:  # noqa: ARG002  # there is nothing to end
        """Forget the server; it runs on."""
        watched = self._watched.pop(replica_id, None)
        if watched is not None and watched.task is not None:
            watched.task.cancel()
            self.changed.set()

    async def forget(self, job_id: str) -> None:
        """Nothing: the servers are somebody else's."""

    async def log(self, replica_id: str, *, tail_lines: int, after: int | None) -> LogPart | None:  # noqa: ARG002  # as the port has it
        """None: the server's log is its owner's."""
        return None

    async def close(self) -> None:
        """Stop probing; the next observation begins anew."""
        tasks = [watched.task for watched in self._watched.values() if watched.task is not None]
        self._watched = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _unknown(self) -> list[tuple[Job, Replica]]:
        """Replicas of the log that had been started and are not watched here; one that ends needs no watch."""
        return [
            (entry.job, replica)
            for entry in self._jobs.jobs.values()
            for replica in entry.job.replicas
            if replica.placement.cluster == EXTERNAL
            and not replica.ended
            and replica.state not in (ReplicaState.SCHEDULED, ReplicaState.TERMINATING)
            and replica.replica_id not in self._watched
        ]

    async def _adopt(self, job: Job, replica: Replica) -> None:
        replica_id = replica.replica_id
        try:
            launch = await self._launches.launch(job, replica)
            url = _address(launch)
        except PermanentError as error:
            # One replica that can't be found again must not keep the others from it.
            gone = Health(Step.GONE)
            self._watched[replica_id] = _Watched(
                replica_id, job.job_id, None, "", gone, self._clock.now(), str(error)
            )
            return
        # Asked before the watch begins, so that one that serves is seen to serve from the first observation on.
        served = replica.state in (ReplicaState.READY, ReplicaState.UNHEALTHY, ReplicaState.DRAINING)
        first = await look(self._open(), url, launch.api_key, self._probe_timeout_seconds)
        before = Health(Step.UNHEALTHY if served else Step.BOOTING)
        health = next_health(before, alive=True, answer=first.answer)
        if replica_id not in self._watched:
            self._watch(launch, url, health, first.detail)
            self._logger.info("replica.adopted", replica=replica_id, job=job.job_id, step=health.step)

    def _watch(self, launch: Launch, url: str, health: Health, detail: str) -> None:
        now = self._clock.now()
        watched = _Watched(launch.replica_id, launch.job_id, url, launch.api_key, health, now, detail)
        self._watched[launch.replica_id] = watched
        watched.task = asyncio.create_task(self._probe(watched, url), name=f"probe-{launch.replica_id}")
        self.changed.set()

    async def _probe(self, watched: _Watched, url: str) -> None:
        """Ask again and again, until the replica is forgotten."""
        while True:
            found = await look(self._open(), url, watched.key, self._probe_timeout_seconds)
            before = watched.health.step
            watched.health = next_health(watched.health, alive=True, answer=found.answer)
            watched.detail = found.detail
            if watched.health.step is not before:
                watched.since = self._clock.now()
                self.changed.set()
                self._logger.info(
                    "replica.step",
                    replica=watched.replica_id,
                    job=watched.job_id,
                    step=watched.health.step,
                    detail=found.detail,
                )
            missed = found.answer is not Answer.OK and watched.health.misses > 0
            # A server that served is asked again soon, so that one that is gone is left out soon.
            await asyncio.sleep(self._probe_seconds / 2 if missed else self._probe_seconds)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _address(launch: Launch) -> str:
    if launch.endpoint_url is None:
        raise PermanentError("its job names no server at its place")
    return launch.endpoint_url


def _observed(watched: _Watched) -> ObservedReplica:
    return ObservedReplica(
        replica_id=watched.replica_id,
        job_id=watched.job_id,
        step=watched.health.step,
        fraction=None,
        endpoint_url=watched.url,
        detail=watched.detail,
        exit_code=None,
        since=watched.since,
    )
