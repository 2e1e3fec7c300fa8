"""One replica's life on this machine: weights checked, process started, health watched, end noted.

The backend makes one of these per replica, from a fresh wish or from a record that an earlier provisioner left, and runs
`live()` beside everything else. `observed()` gives the latest of what it knows.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import aiohttp

from hostler_domain.errors import PermanentError, TemporaryError
from hostler_kit.logs import Logger
from hostler_provisioner.backend import ObservedReplica, Step
from hostler_provisioner.local.models import WeightsKind, locate
from hostler_provisioner.local.processes import (
    MARK_FOLDER,
    MARK_REPLICA,
    Process,
    create_time,
    find_marked,
    spawn,
)
from hostler_provisioner.local.records import ReplicaFolder, ReplicaRecord, write_private
from hostler_provisioner.local.runtimes import KEY_VARIABLE, Scalar, runtime_named
from hostler_provisioner.local.steps import Answer, Health, last_words, loaded_fraction, next_health
from hostler_provisioner.local.weights import Weights

_STARTING_POLL_SECONDS = 0.03
_KILL_WAIT_SECONDS = 10.0
_LOG_BYTES_MAX = 16 * 1024 * 1024

LOOPBACK = "127.0.0.1"
ANY_ADDRESS = "0.0.0.0"  # only to tell it apart

_DETAILS = {
    Step.IMPORTING: "checking the weights",
    Step.BOOTING: "starting the server",
    Step.LOADING: "loading the weights",
    Step.READY: "serving",
    Step.UNHEALTHY: "the process is there and does not answer",
}


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """How the local backend is set up.

    Attributes:
        data_dir: Folder of its own; made when it is not there.
        cluster: Its name in placements.
        instance: Mark for the processes, so that whoever supervises the installation can find them all.
        model_paths: GGUF files and CTranslate2 folders of the operator's own, by model id.
        bind_address: Where the replicas' servers listen; an IPv4 address of this machine, or all of them (0.0.0.0).
        host: Name or address under which routers reach them; needed where they listen on all addresses.
        python: Interpreter that runs the replicas; it needs the packages of the runtimes.
        probe_period_seconds: Between two looks at the /health of a replica that serves.
        probe_timeout_seconds: How long /health may take; three misses in a row are unhealthy.
    """

    data_dir: Path
    cluster: str = "local"
    instance: str = ""
    model_paths: Mapping[str, Path] = field(default_factory=dict)
    bind_address: str = LOOPBACK
    host: str = ""
    python: str = sys.executable
    probe_period_seconds: float = 1.0
    probe_timeout_seconds: float = 2.0

    def endpoint_url(self, port: int) -> str:
        """What routers are told of the replica on `port`."""
        return f"http://{self.host or self.bind_address}:{port}"

    def probe_url(self, port: int) -> str:
        """Where this machine itself asks it; the name that routers use need not mean anything here."""
        address = LOOPBACK if self.bind_address == ANY_ADDRESS else self.bind_address
        return f"http://{address}:{port}/health"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all replicas of one backend share while it is open."""

    settings: LocalSettings
    weights: Weights
    session: aiohttp.ClientSession
    now: Callable[[], datetime]
    wake: Callable[[], None]
    ports_taken: Callable[[], frozenset[int]]
    logger: Logger


class LocalReplica:
    """A replica that is starting, serving or gone.

    Attributes:
        record: What is on disk of it.
    """

    def __init__(
        self, folder: ReplicaFolder, record: ReplicaRecord, process: Process | None, around: Surroundings
    ) -> None:
        self.record = record
        self._folder = folder
        self._process = process
        self._around = around
        self._weights_path: Path | None = None
        self._load_fraction: float | None = None
        self._stopping = asyncio.Lock()
        self._logger = around.logger.bind(replica=record.replica_id, job=record.job_id)
        self._task = asyncio.create_task(self._live(), name=f"replica-{record.replica_id}")

    def observed(self) -> ObservedReplica:
        """What is known of it now."""
        record = self.record
        fraction = None
        if record.step is Step.IMPORTING and self._weights_path is not None:
            fraction = self._around.weights.fraction(self._weights_path)
        elif record.step is Step.LOADING:
            fraction = self._load_fraction
        return ObservedReplica(
            replica_id=record.replica_id,
            job_id=record.job_id,
            step=record.step,
            fraction=fraction,
            endpoint_url=None if record.port is None else self._around.settings.endpoint_url(record.port),
            detail=record.detail if record.step is Step.GONE else _DETAILS[record.step],
            exit_code=record.exit_code,
            since=record.since,
        )

    async def stop(self, grace_seconds: float) -> None:
        """End it and forget it; return when nothing is left.

        Raises:
            TemporaryError: the kernel has not let go of the process yet.
        """
        async with self._stopping:
            if self._process is None:
                # Nothing was spawned, and a cancelled task spawns nothing any more.
                self._task.cancel()
            else:
                await _end(self._process, grace_seconds)
            # A provisioner killed between spawning and recording may have left a second one.
            marked = await asyncio.to_thread(find_marked, self._folder.path.parent)
            for pid in marked.get(self.record.replica_id, []):
                await _end(Process(pid), 0)
            self.release()
            await asyncio.to_thread(self._folder.remove)
            self._logger.info("replica.removed")

    def release(self) -> None:
        """Let go of it as it is."""
        self._task.cancel()
        if self._process is not None:
            self._process.release()

    async def _live(self) -> None:
        """From here to its end."""
        try:
            if self.record.step is Step.GONE:
                return
            process = self._process or await self._launch()
            await self._watch(process)
        except (PermanentError, OSError) as error:
            self._give_up(str(error))
        except (
            Exception
        ):  # the outermost loop of this replica: a bug here must not leave it starting for ever
            self._logger.exception("replica.failed")
            self._give_up("the provisioner failed on it; its log has the reason")

    async def _launch(self) -> Process:
        """Check the weights and start the process.

        After the check nothing waits, so that a stop finds either no process or one that is recorded.
        """
        settings = self._around.settings
        runtime = runtime_named(self.record.runtime)
        weights = {} if runtime.weights is None else await self._checked_weights(runtime.weights)
        key = self._folder.key()
        if key is None:
            raise PermanentError("its key is not there any more, so it can't be started")
        port = _free_port(settings.bind_address, self._around.ports_taken())
        file = {
            "served_name": self.record.served_name,
            "host": settings.bind_address,
            "port": port,
            **weights,
            **self.record.parameters,
        }
        write_private(self._folder.launch_path, json.dumps(file).encode())
        self.record = replace(self.record, port=port)
        self._folder.write(self.record)
        pid = spawn(
            # Isolated: neither the job's variables nor the working directory choose what the child imports.
            (settings.python, "-I", os.fspath(runtime.script), os.fspath(self._folder.launch_path)),
            {
                "LANG": "C.UTF-8",
                **self.record.env,
                "HOSTLER_INSTANCE": settings.instance,
                MARK_REPLICA: self.record.replica_id,
                MARK_FOLDER: os.fspath(self._folder.path),
                KEY_VARIABLE: key,
            },
            self._folder.log_path,
        )
        self._process = Process(pid)
        self.record = replace(self.record, pid=pid, create_time=create_time(pid))
        self._move(Step.BOOTING)
        self._folder.forget_key()
        self._logger.info("replica.spawned", pid=pid, port=port)
        return self._process

    async def _checked_weights(self, kind: WeightsKind) -> Mapping[str, Scalar]:
        """What the launch file says about the weights, once they are known to be right."""
        model = locate(self.record.model, self._around.settings.model_paths, kind)
        for file in model.files:
            self._weights_path = file.path
            await self._around.weights.check(file)
        return {"model_path": os.fspath(model.path)}

    async def _watch(self, process: Process) -> None:
        """Follow the process and its /health until it ends."""
        health = Health(self.record.step)
        port = self.record.port
        url = self._around.settings.probe_url(port) if port is not None else ""
        while True:
            answer = await self._probe(url) if url and process.is_alive() else Answer.NONE
            health = next_health(health, alive=process.is_alive(), answer=answer)
            if health.step is Step.GONE:
                log = await asyncio.to_thread(self._folder.log_tail)
                detail = last_words(log, exit_code=process.exit_code)
                self._move(Step.GONE, detail=detail, exit_code=process.exit_code)
                return
            if health.step is Step.LOADING:
                log = await asyncio.to_thread(self._folder.log_tail)
                self._load_fraction = loaded_fraction(log.splitlines())
            self._move(health.step)
            if health.step in (Step.READY, Step.UNHEALTHY):
                self._folder.shorten_log(_LOG_BYTES_MAX)
                await process.wait(self._around.settings.probe_period_seconds)
            else:
                await process.wait(_STARTING_POLL_SECONDS)

    async def _probe(self, url: str) -> Answer:
        timeout = aiohttp.ClientTimeout(total=self._around.settings.probe_timeout_seconds)
        try:
            async with self._around.session.get(url, timeout=timeout) as response:
                return Answer.OK if response.status == 200 else Answer.NOT_READY
        except (aiohttp.ClientError, TimeoutError):
            return Answer.NONE

    def _move(self, step: Step, *, detail: str = "", exit_code: int | None = None) -> None:
        """Note a step and tell whoever watches, when it is another than before."""
        if step is self.record.step:
            return
        self.record = replace(
            self.record, step=step, since=self._around.now(), detail=detail, exit_code=exit_code
        )
        self._folder.write(self.record)
        self._around.wake()
        self._logger.info("replica.step", step=step, detail=detail or _DETAILS.get(step, ""))

    def _give_up(self, detail: str) -> None:
        """End it by fault."""
        if self._process is not None:
            self._process.send(signal.SIGKILL)
        self._move(Step.GONE, detail=detail)


async def _end(process: Process, grace_seconds: float) -> None:
    """SIGTERM, and SIGKILL when the grace is over."""
    process.send(signal.SIGTERM)
    if await process.wait(grace_seconds):
        return
    process.send(signal.SIGKILL)
    if not await process.wait(_KILL_WAIT_SECONDS):
        raise TemporaryError(f"process {process.pid} has been killed and is still there")


def _free_port(address: str, taken: frozenset[int]) -> int:
    """A port of `address` that is free now, and not chosen for another replica that has yet to bind it."""
    while True:
        with socket.socket() as probe:
            probe.bind((address, 0))
            port: int = probe.getsockname()[1]
            if port not in taken:
                return port
