"""The `local` backend: each replica is a process of this machine, running a server of one of the kinds in `runtimes.py`.

The reconciler calls it through the port of `hostler_provisioner.backend`. It opens its folder at the first call, adopts the
replicas of an earlier provisioner, and holds a lock on the folder while it is open, because two provisioners on one folder
would start replicas twice. The kernel drops the lock of one that is killed; `close()` drops it in order.
"""

import asyncio
import fcntl
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_provisioner.backend import Launch, LogPart, NodeFacts, ObservedReplica, Step
from hostler_provisioner.local.facts import node_facts, physical_cores, usable_cores
from hostler_provisioner.local.log_files import KEPT_LOGS, prune, read_part
from hostler_provisioner.local.models import locate
from hostler_provisioner.local.parameters import checked_env, default_threads
from hostler_provisioner.local.processes import Process, create_time, find_marked, is_replica
from hostler_provisioner.local.records import ReplicaFolder, ReplicaRecord, folders
from hostler_provisioner.local.replica import LocalReplica, LocalSettings, Surroundings
from hostler_provisioner.local.runtimes import runtime_named
from hostler_provisioner.local.steps import last_words
from hostler_provisioner.local.weights import Weights

_SERVED_NAME = re.compile(r"[\w./:@+-]{1,256}", re.ASCII)


class LocalBackend:
    """Replicas as processes. See `hostler_provisioner.backend.Backend` for what each call promises.

    Attributes:
        cluster: Its name in placements.
        changed: Set whenever a replica came to another step; whoever waits on it clears it.
    """

    def __init__(
        self,
        settings: LocalSettings,
        *,
        clock: Clock,
        logger: Logger,
    ) -> None:
        self.cluster = settings.cluster
        self.changed = asyncio.Event()
        self._settings = settings
        self._replicas_dir = settings.data_dir.absolute() / "replicas"
        self._clock = clock
        self._logger = logger
        self._opening = asyncio.Lock()
        self._lock_fd: int | None = None
        self._around: Surroundings | None = None
        self._replicas: dict[str, LocalReplica] = {}

    def fence(self, may_act: Callable[[], bool]) -> None:  # as the port has it
        """Nothing to ask: the lock on the folder keeps others out."""

    async def nodes(self) -> tuple[NodeFacts, ...]:
        """This machine."""
        return (await asyncio.to_thread(node_facts, self._settings.model_paths),)

    async def start(self, launch: Launch) -> None:
        """Check the launch, record the wish and begin; nothing when the replica is there, even gone: none is revived."""
        record = self._wish(launch)
        around = await self._open()
        if launch.replica_id in self._replicas:
            return
        folder = ReplicaFolder(self._replicas_dir, launch.replica_id)
        # Two small files, written without a pause, so that a second call finds the replica in the table.
        folder.create(record, launch)
        self._replicas[launch.replica_id] = LocalReplica(folder, record, None, around)
        self.changed.set()

    async def observe(self) -> tuple[ObservedReplica, ...]:
        """The latest of what the watchers know, by id."""
        await self._open()
        return tuple(self._replicas[replica_id].observed() for replica_id in sorted(self._replicas))

    async def stop(self, replica_id: str, grace_seconds: float) -> None:
        """End the process and forget the replica."""
        await self._open()
        replica = self._replicas.get(replica_id)
        if replica is None:
            return
        await replica.stop(grace_seconds)
        self._replicas.pop(replica_id, None)
        self.changed.set()

    async def forget(self, job_id: str) -> None:
        """Nothing: a job has nothing here beside its replicas."""

    async def log(self, replica_id: str, *, tail_lines: int, after: int | None) -> LogPart | None:
        """What the process wrote; it stays for a day after the replica was stopped."""
        folder = ReplicaFolder(self._replicas_dir, replica_id)
        replica = self._replicas.get(replica_id)
        gone = replica is not None and replica.record.step is Step.GONE
        for path, ended in ((folder.log_path, gone), (folder.kept_log_path, True)):
            part = await asyncio.to_thread(read_part, path, tail_lines=tail_lines, after=after, ended=ended)
            if part is not None:
                return part
        return None

    async def close(self) -> None:
        """Let go of the processes and the folder; the next call opens it again."""
        async with self._opening:
            for replica in self._replicas.values():
                replica.release()
            self._replicas = {}
            if self._around is not None:
                self._around.weights.close()
                await self._around.session.close()
                self._around = None
            if self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None

    def _wish(self, launch: Launch) -> ReplicaRecord:
        """The record of a replica that is to be; refuses what can never work here."""
        runtime = runtime_named(launch.runtime)
        if not _SERVED_NAME.fullmatch(launch.served_name):
            raise PermanentError(
                f"served name {launch.served_name!r} must be letters, digits and . / : @ + _ -"
            )
        if not (launch.api_key.isascii() and launch.api_key.isprintable() and launch.api_key):
            raise PermanentError("the replica's key must be printable ASCII and not empty")
        if runtime.weights is not None:
            locate(launch.model, self._settings.model_paths, runtime.weights)
        threads = default_threads(
            allotted_cores=launch.cpu_cores, usable_cores=usable_cores(), physical_cores=physical_cores()
        )
        return ReplicaRecord(
            replica_id=launch.replica_id,
            job_id=launch.job_id,
            model=launch.model,
            served_name=launch.served_name,
            parameters=dict(runtime.parse(launch.args, threads)),
            env=checked_env(launch.env),
            step=Step.IMPORTING,
            since=self._clock.now(),
            runtime=runtime.name,
        )

    async def _open(self) -> Surroundings:
        """Take the folder, and adopt what is in it, unless that has been done."""
        if self._around is not None:
            return self._around
        async with self._opening:
            if self._around is None:
                self._around = await self._take_over()
            return self._around

    async def _take_over(self) -> Surroundings:
        if self._lock_fd is None:
            self._lock_fd = await asyncio.to_thread(_lock, self._replicas_dir)
        found = await asyncio.to_thread(_look_around, self._replicas_dir)
        await asyncio.to_thread(prune, self._replicas_dir.parent / KEPT_LOGS, now=time.time())
        around = Surroundings(
            settings=self._settings,
            weights=Weights(self._settings.data_dir.absolute() / "models.json"),
            # A kept connection would hold one of the server's threads.
            session=aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)),
            now=self._clock.now,
            wake=self.changed.set,
            ports_taken=self._ports_taken,
            logger=self._logger,
        )
        for folder, record in found:
            process = Process(record.pid) if record.pid is not None and record.step is not Step.GONE else None
            settled = replace(record, since=self._clock.now()) if record.since.year < 2000 else record
            self._replicas[record.replica_id] = LocalReplica(folder, settled, process, around)
            self._logger.info(
                "replica.adopted", replica=record.replica_id, job=record.job_id, step=record.step
            )
        return around

    def _ports_taken(self) -> frozenset[int]:
        records = (replica.record for replica in self._replicas.values())
        return frozenset(record.port for record in records if record.port is not None)


def _lock(replicas_dir: Path) -> int:
    """Make the folder and take its lock."""
    replicas_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replicas_dir.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(replicas_dir.parent / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise TemporaryError("another provisioner holds the folder of the local replicas") from None
    return fd


def _look_around(replicas_dir: Path) -> list[tuple[ReplicaFolder, ReplicaRecord]]:
    """Every replica that an earlier provisioner left, with its record as it is now."""
    marked = find_marked(replicas_dir)
    return [(folder, _settle(folder, marked)) for folder in folders(replicas_dir)]


def _settle(folder: ReplicaFolder, marked: dict[str, list[int]]) -> ReplicaRecord:
    """Bring a record up to date with the processes there are.

    recorded pid | it lives | a marked process | then
    -------------|----------|------------------|------------------------------------------------------
    any          | yes      | any              | it serves on
    any          | no       | yes              | adopted: the provisioner died before it noted the pid
    none         | -        | no               | a wish that was not begun: as it is, and begun now
    some         | no       | no               | gone, and nobody saw how
    """
    record = folder.read()
    if record.step is Step.GONE:
        return record
    if record.pid is not None and is_replica(record.pid, record.create_time, folder.path):
        return record
    pids = marked.get(record.replica_id)
    if pids:
        record = replace(record, pid=pids[0], create_time=create_time(pids[0]))
        if record.step is Step.IMPORTING:
            record = replace(record, step=Step.BOOTING)
        folder.write(record)
        folder.forget_key()
    elif record.pid is not None:
        detail = last_words(folder.log_tail(), exit_code=None)
        record = replace(record, step=Step.GONE, detail=f"it ended unseen: {detail}")
        folder.write(record)
    return record
