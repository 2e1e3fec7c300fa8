"""What is measured: the upstreams by themselves, nginx in front of them, and our router in front of them, each as real processes.

The router has everything on: an API key that it checks, limits where they are asked for, usage that it stores on a real nats-server, metrics, its log.
Its job adopts the two upstreams (`external`), which know the model by another name than callers do, so that every body is changed.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from bench.router.machine import LOAD_CORES, TARGET_CORES, pinned
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.permissions import ACCESS
from hostler_cli.supervisor.binaries import nats_server, valkey_server
from hostler_cli.supervisor.conf_files import NATS_OPERATOR, ValkeySocket, nats_conf, valkey_conf
from hostler_contracts import subjects
from hostler_contracts.catalogue import API_KEYS, ApiKey
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.capacity import Resources
from hostler_domain.changes import JobCreated, ReplicaReady, ReplicaScheduled
from hostler_domain.external import EXTERNAL, ExternalServers, node_of
from hostler_domain.job import JobSpec, Placement, Serving
from hostler_domain.routing import CONCURRENCY_PER_REPLICA_MAX, Routing
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from hostler_kit.clock import SystemClock

MODEL = "bench"
PROJECT = "bench"
_PATIENCE_SECONDS = 30.0
_LIMIT = 1_000_000_000
_NGINX_CONF = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_body_buffer_size 256k;
  client_max_body_size 32m;
  keepalive_requests 1000000000;
  upstream upstreams {{
    {servers}
    keepalive 2048;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=16384;
    location / {{
      proxy_pass http://upstreams;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that requests are sent to.

    Attributes:
        name: As in the report.
        port: Of the loopback.
        key: That callers send.
        pid: Root of the processes that count; None where nothing is measured of them.
    """

    name: str
    port: int
    key: str = field(repr=False)
    pid: int | None = None


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until_listening(port: int, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _listens(port):
        if time.monotonic() > deadline:
            sys.exit(f"{what} does not listen on port {port}")
        time.sleep(0.02)


@contextmanager
def _process(command: list[str], *, log: Path, env: Mapping[str, str] | None = None) -> Iterator[int]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def upstreams(folder: Path, count: int = 2) -> Iterator[list[int]]:
    """The ports of the stand-ins for vLLM."""
    ports = [free_port() for _ in range(count)]
    with ExitStack() as running:
        for port in ports:
            command = pinned(LOAD_CORES, [sys.executable, "-m", "bench.router.upstream", str(port)])
            running.enter_context(_process(command, log=folder / "upstream.log"))
        for port in ports:
            _wait_until_listening(port, "an upstream")
        yield ports


@contextmanager
def nginx(folder: Path, ports: list[int], files: int) -> Iterator[Target]:
    """Nginx with one worker and kept connections to the upstreams."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        sys.exit("nginx is missing: apt-get install nginx-light")
    place = folder / "nginx"
    place.mkdir()
    port = free_port()
    servers = "\n    ".join(f"server 127.0.0.1:{each};" for each in ports)
    conf = place / "nginx.conf"
    conf.write_text(_NGINX_CONF.format(folder=place, port=port, servers=servers, files=files))
    command = pinned(
        TARGET_CORES, [binary, "-c", str(conf), "-e", str(place / "error.log"), "-p", str(place)]
    )
    with _process(command, log=place / "nginx.log") as pid:
        _wait_until_listening(port, "nginx")
        yield Target("nginx", port, "unused", pid)


class Surroundings:
    """A nats-server, a Valkey, and what the router knows from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nats_port = free_port()
        self.nats_pid = 0
        self._passwords = {name: secrets.token_urlsafe(16) for name in (NATS_OPERATOR, *ACCESS)}
        self._bus: NatsBus | None = None
        self._log: JobLog | None = None

    @property
    def bus(self) -> NatsBus:
        """The operator's connection."""
        assert self._bus is not None
        return self._bus

    @contextmanager
    def servers(self) -> Iterator[None]:
        """nats-server as `hostler up` configures it, and Valkey likewise."""
        (self.folder / "password").touch(mode=0o600)
        (self.folder / "password").write_text(self._passwords["router"])
        (self.folder / "secret.key").touch(mode=0o600)
        (self.folder / "secret.key").write_text("c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M=")
        conf = self.folder / "nats.conf"
        conf.touch(mode=0o600)
        store = self.folder / "jetstream"
        conf.write_text(
            nats_conf(
                port=self.nats_port, monitor_port=free_port(), store_dir=store, passwords=self._passwords
            )
        )
        valkey = self.folder / "valkey.conf"
        valkey.write_text(
            valkey_conf(listens=ValkeySocket(self.folder / "valkey.sock"), store_dir=self.folder)
        )
        with ExitStack() as running:
            command = pinned(LOAD_CORES, [str(nats_server(os.environ)), "-c", str(conf)])
            self.nats_pid = running.enter_context(_process(command, log=self.folder / "nats.log"))
            command = pinned(LOAD_CORES, [str(valkey_server(os.environ)), str(valkey)])
            running.enter_context(_process(command, log=self.folder / "valkey.log"))
            _wait_until_listening(self.nats_port, "nats-server")
            yield

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """With streams and buckets made."""
        url = f"nats://127.0.0.1:{self.nats_port}"
        password = self._passwords[NATS_OPERATOR]
        self._bus = await connect(url, user=NATS_OPERATOR, password=password, name="bench", declare=True)
        self._log = JobLog(self._bus, source="/hostler/bench", clock=SystemClock())
        yield
        await self._bus.drain()

    async def add_key(self, name: str, *, limited: bool) -> str:
        """An API key, with limits that are counted and never reached, where it is to have some."""
        key = make_key(secrets.token_bytes(20))
        bounds = {"requests_per_minute": _LIMIT, "tokens_per_minute": _LIMIT, "concurrency": _LIMIT}
        record = ApiKey.model_validate(
            {
                "key_id": name,
                "name": name,
                "project": PROJECT,
                "key_hash": hash_key(key),
                "prefix": display_prefix(key),
                "scopes": ("inference",),
                "created_at": datetime.now(UTC),
                **({"limits": bounds} if limited else {}),
            }
        )
        await self.bus.bucket(subjects.BUCKET_API_KEYS).put(record.key_hash, API_KEYS.encode(record))
        return key

    async def add_job(self, name: str, ports: list[int]) -> JobEntry:
        """A job that adopts servers, none of which is a replica yet."""
        assert self._log is not None
        return await self._log.append(
            None, JobCreated(datetime.now(UTC), name, _spec(name, ports), None, "bench")
        )

    async def add_replicas(self, entry: JobEntry, ports: list[int]) -> None:
        """All of its servers are ready replicas from now on."""
        for index, port in enumerate(ports):
            entry = await self.ready(await self.scheduled(entry, index), index, port)

    async def scheduled(self, entry: JobEntry, index: int) -> JobEntry:
        """One of its servers has a replica's name."""
        assert self._log is not None
        place = Placement(EXTERNAL, node_of(index), Resources(0, 0, 0))
        change = ReplicaScheduled(datetime.now(UTC), f"{entry.job.job_id}-r{index}", place)
        return await self._log.append(entry, change)

    async def ready(self, entry: JobEntry, index: int, port: int) -> JobEntry:
        """It serves."""
        assert self._log is not None
        url = f"http://127.0.0.1:{port}"
        change = ReplicaReady(datetime.now(UTC), f"{entry.job.job_id}-r{index}", url)
        return await self._log.append(entry, change)

    @contextmanager
    def router(
        self, name: str, key: str, *, usage_commit: str = "stream", busy_poll_seconds: float = 0.0
    ) -> Iterator[Target]:
        """One router process with one worker."""
        port, ops_port = free_port(), free_port()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HOSTLER_")}
        environment |= {
            "HOSTLER_NATS_URL": f"nats://127.0.0.1:{self.nats_port}",
            "HOSTLER_NATS_USER": "router",
            "HOSTLER_NATS_PASSWORD_FILE": str(self.folder / "password"),
            "HOSTLER_VALKEY_URL": f"unix://{self.folder / 'valkey.sock'}",
            "HOSTLER_SECRET_KEY_FILE": str(self.folder / "secret.key"),
            "HOSTLER_DATA_DIR": str(self.folder / name),
            "HOSTLER_LOG_FORMAT": "json",
            "HOSTLER_ROUTER_NAME": name,
            "HOSTLER_ROUTER_PORT": str(port),
            "HOSTLER_ROUTER_OPS_PORT": str(ops_port),
            "HOSTLER_ROUTER_WORKERS": "1",
            "HOSTLER_ROUTER_USAGE_SPOOL_DIR": str(self.folder / f"spool-{name}"),
            "HOSTLER_ROUTER_USAGE_COMMIT": usage_commit,
            "HOSTLER_ROUTER_BUSY_POLL_SECONDS": str(busy_poll_seconds),
        }
        command = pinned(TARGET_CORES, [sys.executable, "-P", "-m", "hostler_router"])
        log = self.folder / f"{name}.log"
        with _process(command, log=log, env=environment) as pid:
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while not _ready(ops_port):
                if time.monotonic() > deadline:
                    sys.exit(f"the router is not ready; the end of its log:\n{log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield Target(name, port, key, pid)


def _ready(ops_port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{ops_port}/readyz", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def _spec(name: str, ports: list[int]) -> JobSpec:
    scaling = Scaling(
        min_replicas=len(ports),
        max_replicas=len(ports),
        initial_replicas=len(ports),
        activation_replicas=len(ports),
        targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 10.0),),
    )
    return JobSpec(
        name=name,
        project=PROJECT,
        model="bench/model",
        runtime=EXTERNAL,
        runtime_image=None,
        serving=Serving({}, {}),
        hardware_profile=EXTERNAL,
        gpu_count=0,
        scaling=scaling,
        external=ExternalServers(tuple(f"http://127.0.0.1:{port}" for port in ports), served_model="served"),
        # What bounds a replica must not bound the bench, which asks for thousands of streams at once.
        routing=Routing(concurrency_per_replica=CONCURRENCY_PER_REPLICA_MAX),
    )
