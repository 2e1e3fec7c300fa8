"""A router's surroundings as real processes: a NATS with a stack's users, simulated replicas, and routers as an operator starts them.

The jobs are written into the log by the test, so that nothing but the router looks after the replicas: what it does about one that is killed, frozen or slow
is its own doing and not that of a provisioner who was quicker.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import psutil

from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.nats_bus import NatsBus
from hostler_contracts import subjects
from hostler_contracts.catalogue import API_KEYS, ApiKey
from hostler_contracts.usage import FinishedRequest, decode_usage
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.changes import Change, ReplicaReady, ReplicaScheduled
from hostler_domain.job import Serving
from hostler_domain.limits import Limits
from hostler_kit.clock import SystemClock
from hostler_kit.secret_key import SecretKey, read_secret_key
from hostler_provisioner.local import simulated_server
from hostler_provisioner.local.simulated_parameters import SimulatedParameters
from tests.faults.callers import Callers
from tests.support.builders import NODE, created
from tests.support.servers import free_port
from tests.support.services import Service, Services, service_processes, until

KEY = make_key(b"callers of the data path")
PROJECT = "alice"
_RUNNING = re.compile(rb"^vllm:num_requests_running\{[^}]*\} ([0-9.]+)$", re.MULTILINE)


@dataclass
class SimulatedReplica:
    """One replica's process."""

    replica_id: str
    url: str
    key: str = field(repr=False)
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop it; its sockets stay open."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)

    def healthy(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def running(self) -> int:
        """Requests that it is working on, as it says itself."""
        answer = httpx2.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.key}"}, timeout=5)
        match = _RUNNING.search(answer.content)
        assert match is not None, answer.text
        return int(float(match[1]))


@dataclass
class Job:
    """A job as the test wrote it."""

    job_id: str
    replicas: list[SimulatedReplica]
    entry: JobEntry


class RouterSite:
    """NATS, replicas and routers; to be used within `connected`."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._replicas: list[SimulatedReplica] = []
        self._count = 0
        self._bus: NatsBus | None = None
        self._log: JobLog | None = None

    @property
    def bus(self) -> NatsBus:
        assert self._bus is not None
        return self._bus

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["RouterSite"]:
        """With an operator's connection, over which jobs are written and usage is read."""
        self._bus = await self.services.operator()
        self._log = JobLog(self._bus, source="/hostler/test/witness", clock=SystemClock())
        await self.add_key(KEY, "key-1")
        try:
            yield self
        finally:
            self.end_replicas()
            await self._bus.drain()

    async def add_key(self, key: str, key_id: str, limits: Limits | None = None) -> None:
        """A key for inference, with limits of its own or without."""
        record = ApiKey(
            key_id=key_id,
            name="test",
            project=PROJECT,
            key_hash=hash_key(key),
            prefix=display_prefix(key),
            scopes=("inference",),
            created_at=datetime.now(UTC),
            limits=limits,
        )
        await self.bus.bucket(subjects.BUCKET_API_KEYS).put(record.key_hash, API_KEYS.encode(record))

    async def router(
        self,
        name: str,
        *,
        drain_timeout_seconds: float = 20.0,
        platform: Mapping[str, str] | None = None,
        **settings: object,
    ) -> tuple[Service, str]:
        """Start a router; gives it and its address once it is ready."""
        port = free_port()
        service = self.services.start(
            "router",
            name,
            platform={"HOSTLER_DRAIN_TIMEOUT_SECONDS": f"{drain_timeout_seconds:g}", **(platform or {})},
            port=str(port),
            metrics_period_seconds="1",
            **{name: str(value) for name, value in settings.items()},
        )
        await until(lambda: service.ready, f"{name} is ready")
        return service, f"http://127.0.0.1:{port}"

    async def job(self, url: str, *, replicas: int, **parameters: object) -> tuple[Job, Callers]:
        """A job with so many ready replicas, once the router at `url` routes to it, and those who call it."""
        self._count += 1
        job = await self.sleeping_job(f"job-{self._count}")
        started = [
            self.start_replica(f"{job.job_id}-r{number}", **parameters) for number in range(1, replicas + 1)
        ]
        for each in started:
            await until(each.healthy, f"{each.replica_id} serves")
            await self.ready(job, each)
        callers = Callers(url, KEY, job.job_id)
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
            async with asyncio.timeout(30):
                while not _ready_in(  # noqa: ASYNC110  # what is waited for tells nobody when it happens
                    await client.get(f"{url}/v1/models"), job.job_id, replicas
                ):
                    await asyncio.sleep(0.02)
        return job, callers

    async def sleeping_job(self, job_id: str) -> Job:
        """A job that has no replica yet."""
        assert self._log is not None
        serving = Serving({}, {})
        change = created(
            job_id=job_id, name=f"name-of-{job_id}", project=PROJECT, runtime="simulated", serving=serving
        )
        return Job(job_id, [], await self._log.append(None, change))

    async def ready(self, job: Job, replica: SimulatedReplica) -> None:
        """Say in the log that the replica serves."""
        now = datetime.now(UTC)
        await self.append(job, ReplicaScheduled(now, replica.replica_id, NODE))
        await self.append(job, ReplicaReady(now, replica.replica_id, replica.url))
        job.replicas.append(replica)

    async def append(self, job: Job, change: Change) -> None:
        assert self._log is not None
        job.entry = await self._log.append(job.entry, change)

    def start_replica(self, replica_id: str, **parameters: object) -> SimulatedReplica:
        """Start a replica's process."""
        port = free_port()
        folder = self.services.folder
        given = SimulatedParameters(**{"n_parallel": 4096, **parameters})  # type: ignore[arg-type]  # a test's own
        launch = folder / f"{replica_id}.json"
        launch.write_text(
            json.dumps({"served_name": "simulated", "host": "127.0.0.1", "port": port, **asdict(given)})
        )
        key = self._secret_key().replica_key(replica_id)
        process = subprocess.Popen(
            [sys.executable, "-I", simulated_server.__file__, str(launch)],
            env={**os.environ, simulated_server.KEY_VARIABLE: key},
            stdout=subprocess.DEVNULL,
        )
        replica = SimulatedReplica(replica_id, f"http://127.0.0.1:{port}", key, process)
        self._replicas.append(replica)
        return replica

    def end_replicas(self) -> None:
        for replica in self._replicas:
            if replica.process.poll() is None:
                replica.thaw()
                replica.kill()
        self._replicas.clear()

    async def usage(self, job: Job) -> list[FinishedRequest]:
        """Every finished request of a job that is stored, each once, as whoever bills reads them."""
        found: dict[str, FinishedRequest] = {}
        async for message in self.bus.history(subjects.USAGE, subjects.USAGE_SUBJECTS):
            event = decode_usage(message.data)
            if event.data.job_id == job.job_id:
                found |= {each.usage_id: each for each in event.data.requests}
        return list(found.values())

    async def usage_of(
        self, job: Job, *, requests: int, timeout_seconds: float = 20
    ) -> list[FinishedRequest]:
        """The same, once there are so many; whoever expects no more looks at the length."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        found = await self.usage(job)
        while len(found) < requests and loop.time() < deadline:
            await asyncio.sleep(0.1)
            found = await self.usage(job)
        return found

    def _secret_key(self) -> SecretKey:
        return read_secret_key(self.services.secret_key_file())


def _ready_in(answer: httpx2.Response, job_id: str, replicas: int) -> bool:
    """Whether the router says that the job has so many replicas; where it does not say how many, that it has the job."""
    if answer.status_code != 200:
        return False
    for model in answer.json()["data"]:
        if model["id"] == job_id:
            count = (model.get("meta") or {}).get("ready_replicas")
            return count is None or count == replicas
    return False


def resident_bytes(pid: int) -> int:
    """Memory of a process and its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in family)


@contextmanager
def router_site(folder: Path) -> Iterator[RouterSite]:
    """One for the tests of a module."""
    with service_processes(folder) as services:
        yield RouterSite(services)
