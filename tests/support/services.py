"""Service processes as an operator starts them, on a real NATS with the users of a stack: to be killed, paused and asked.

What a test knows of them is what an operator knows: their probes and metrics, and what they write to the log.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.permissions import ACCESS
from hostler_bus.port import Message
from hostler_contracts import subjects
from tests.support.nats_server import NatsServer
from tests.support.servers import free_port

PASSWORDS = {name: f"password-of-{name}" for name in ("operator", *ACCESS)}
PATIENCE_SECONDS = 60.0
_SAMPLE_SECONDS = 0.05
_INSTANCE_VARIABLE = "HOSTLER_INSTANCE"
_REPLICA_VARIABLE = "HOSTLER_REPLICA_ID"


@dataclass
class Service:
    """One process."""

    kind: str
    name: str
    process: subprocess.Popen[bytes]
    ops_url: str
    log_file: Path

    def detail(self, check: str) -> str:
        """What one of its readiness checks says; empty while it does not answer."""
        try:
            report = httpx2.get(f"{self.ops_url}/readyz", timeout=2).json()
        except (httpx2.HTTPError, ValueError):
            return ""
        return str(report["checks"].get(check, {}).get("detail", ""))

    @property
    def ready(self) -> bool:
        try:
            return httpx2.get(f"{self.ops_url}/readyz", timeout=2).status_code == 200
        except httpx2.HTTPError:
            return False

    @property
    def leads(self) -> bool:
        return self.detail("projections") == "leader"

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = httpx2.get(f"{self.ops_url}/metrics", timeout=5).text.splitlines()
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        )

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = (json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def pause(self) -> None:
        """SIGSTOP, and until the kernel says that it has stopped."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=PATIENCE_SECONDS)

    def end(self) -> int:
        """Politely; gives the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_SECONDS)


@dataclass
class Services:
    """Where processes are started, and the operator's own connection to NATS."""

    folder: Path
    nats: NatsServer
    running: list[Service] = field(default_factory=list)

    @property
    def instance(self) -> str:
        """The mark that the replicas of this place carry."""
        return f"test-{self.folder.name}-{self.nats.port}"

    def secret_key_file(self) -> Path:
        """The file with the installation's secret key, which all services of this place share."""
        path = self.folder / "secret.key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text("c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M=")
        return path

    def start(
        self,
        kind: str,
        name: str,
        *,
        nats_url: str | None = None,
        platform: Mapping[str, str] | None = None,
        **settings: str,
    ) -> Service:
        """Start one; `settings` are of its own group, without the prefix, and `platform` whole variables beside them."""
        ops_port = free_port()
        prefix = f"HOSTLER_{kind.upper()}_"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HOSTLER_")}
        environment |= {
            "HOSTLER_NATS_URL": nats_url or self.nats.url,
            "HOSTLER_NATS_USER": kind,
            "HOSTLER_NATS_PASSWORD": PASSWORDS[kind],
            "HOSTLER_SECRET_KEY_FILE": str(self.secret_key_file()),
            "HOSTLER_DATA_DIR": str(self.folder / "data"),
            "HOSTLER_LOG_FORMAT": "json",
            "HOSTLER_ROUTER_WORKERS": "1",
            "TMPDIR": str(self.folder),
            _INSTANCE_VARIABLE: self.instance,
            **(platform or {}),
            f"{prefix}NAME": name,
            f"{prefix}OPS_PORT": str(ops_port),
            **{f"{prefix}{key.upper()}": value for key, value in settings.items()},
        }
        log_file = self.folder / f"{name}.log"
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"hostler_{kind}"], env=environment, stdout=log, stderr=log
            )
        service = Service(kind, name, process, f"http://127.0.0.1:{ops_port}", log_file)
        self.running.append(service)
        return service

    async def operator(self) -> NatsBus:
        """A connection that may do everything; the first makes the streams and buckets."""
        return await connect(
            self.nats.url, user="operator", password=PASSWORDS["operator"], name="operator", declare=True
        )

    def replica_processes(self) -> dict[int, str]:
        """Model servers of this place that live, by what the operating system says: each pid's replica."""
        found: dict[int, str] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                marks = process.environ()
                ours = marks.get(_INSTANCE_VARIABLE) == self.instance and _REPLICA_VARIABLE in marks
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = marks[_REPLICA_VARIABLE]
        return found

    def end_all(self) -> None:
        for service in reversed(self.running):
            if service.process.poll() is None:
                with suppress(ProcessLookupError):
                    service.wake()
                    service.process.kill()
                service.process.wait(timeout=PATIENCE_SECONDS)
        # Replicas whose provisioner was killed, workers whose router was.
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_INSTANCE_VARIABLE) == self.instance:
                    process.kill()


@contextmanager
def service_processes(folder: Path) -> Iterator[Services]:
    """A NATS with a stack's users, and an end for every process that is started in the block."""
    nats = NatsServer(folder, PASSWORDS)
    nats.start()
    services = Services(folder, nats)
    try:
        yield services
    finally:
        services.end_all()
        nats.kill()


@contextmanager
def processes_seen(services: Services) -> Iterator[dict[str, set[int]]]:
    """Every pid that lived as a replica's process during the block, by replica."""
    seen: dict[str, set[int]] = defaultdict(set)
    over = threading.Event()

    def look() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            for pid, replica_id in services.replica_processes().items():
                seen[replica_id].add(pid)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


async def until(
    condition: Callable[[], bool], what: str, *, timeout_seconds: float = PATIENCE_SECONDS
) -> None:
    """Come back when the condition, which may block for a moment, holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while not await asyncio.to_thread(condition):
        assert loop.time() < deadline, f"not within {timeout_seconds:g} s: {what}"
        await asyncio.sleep(0.05)


async def whole_log(bus: NatsBus) -> list[Message]:
    return [message async for message in bus.history(subjects.JOBS, subjects.JOBS_SUBJECTS)]
