"""A router of several processes: this one starts the others, keeps them running, ends them in order, and answers operators for them.

`__main__` calls `run_workers` where more than one is wanted. Each worker is a whole router, with its own entry among the
routers, its own projections and the same port: the kernel spreads the connections. The parent holds no connection of a client, so
its death stops nobody's answer; the workers see it, take no more requests and finish those that they have.
"""

import asyncio
import fcntl
import hashlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp

from hostler_domain.errors import HostlerError
from hostler_kit.ops import Readiness
from hostler_kit.service import Chassis, run_service
from hostler_kit.settings import PlatformSettings
from hostler_router.gathered_ops import Gathered, gathered_ops_app
from hostler_router.settings import RouterSettings
from hostler_router.worker import Worker, WorkerSpec

_STOP_MARGIN_SECONDS: Final = 10.0
"""Beyond the drain timeout: a worker ends what is left with an error by itself, and stores what it counted."""
_LOCKS_MAX: Final = 4096


class PortTaken(HostlerError):
    """The port of the router is somebody else's."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The name of a worker, held against every other process of this machine for as long as a process with this descriptor lives.

    Attributes:
        name: The name.
        lock: The locked file and its descriptor; None where there is no place for locks.
    """

    name: str
    lock: tuple[Path, int] | None

    def give_up(self) -> None:
        """Let others have the name; no process may have the descriptor any more."""
        if self.lock is not None:
            path, descriptor = self.lock
            # First gone, then open: who opened the file meanwhile sees that it is no longer there, and makes its own.
            path.unlink(missing_ok=True)
            os.close(descriptor)


def worker_count(wanted: int) -> int:
    """How many there are to be; 0 asks for one for every core that this process may use."""
    if wanted:
        return wanted
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def run_workers(workers: int, platform: PlatformSettings, settings: RouterSettings) -> None:
    """Run so many until told to stop; ends the process with 0 or 1."""
    started: list[Worker] = []
    gathered = Gathered(started)

    async def start(chassis: Chassis) -> None:
        holder = reserve_port(settings.host, settings.port)
        # Held to the end: a worker that is started again finds its port free.
        chassis.on_stop("port", lambda: _close(holder))
        port: int = holder.getsockname()[1]
        slots = list(islice(free_slots(chassis.name, lock_folder(platform.nats_url)), workers))
        chassis.on_stop("names", lambda: _give_up(slots))
        for slot in slots:
            spec = WorkerSpec(
                slot.name,
                (sys.executable, *sys.orig_argv[1:]),
                worker_environment(os.environ, slot.name, port),
                () if slot.lock is None else (slot.lock[1],),
            )
            worker = Worker(
                spec,
                clock=chassis.clock,
                logger=chassis.logger,
                may_fail=lambda: any(each.served for each in started),
                on_end=gathered.ended,
            )
            started.append(worker)
        chassis.registry.register(WorkersCollector(started))
        chassis.on_stop("workers", lambda: _stop(started, platform.drain_timeout_seconds))
        for worker in started:
            chassis.spawn(worker.name, worker.run())
        chassis.logger.info("router.workers", port=port, workers=[worker.name for worker in started])

    def make_ops(readiness: Readiness, registry: CollectorRegistry) -> ASGIApp:
        return gathered_ops_app(gathered, readiness, registry)

    run_service("router", platform, settings, start, make_ops)


def worker_environment(environ: Mapping[str, str], name: str, port: int) -> dict[str, str]:
    """What a worker reads its settings from: the parent's environment, with what makes it this worker."""
    return {
        **environ,
        "HOSTLER_ROUTER_WORKERS": "1",
        "HOSTLER_ROUTER_NAME": name,
        "HOSTLER_ROUTER_PORT": str(port),
        "HOSTLER_ROUTER_OPS_HOST": "127.0.0.1",
        "HOSTLER_ROUTER_OPS_PORT": "0",
    }


def reserve_port(host: str, port: int) -> socket.socket:
    """Hold a port that the workers can share and that nobody else gets meanwhile; what does not listen gets no connection.

    Raises:
        PortTaken: somebody listens there who does not share.
    """
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        holder.bind((host, port))
    except OSError as error:
        holder.close()
        raise PortTaken(f"{host}:{port}: {error.strerror}") from error
    return holder


def free_slots(name: str, folder: Path | None) -> Iterator[Slot]:
    """Names for workers, `<name>-w1` first, without those that a living process has.

    Such a process is a worker whose parent died, and which still finishes its requests. It has an entry under its name and
    answers questions under it, so nobody else may. Each worker inherits the locked descriptor; the lock ends with the last that has it.
    """
    for number in islice(count(1), _LOCKS_MAX):
        slot_name = f"{name}-w{number}"
        if folder is None:
            yield Slot(slot_name, None)
        elif (descriptor := _locked(folder / f"{slot_name}.lock")) is not None:
            yield Slot(slot_name, (folder / f"{slot_name}.lock", descriptor))


def lock_folder(nats_url: str) -> Path | None:
    """Where the locks of this user's routers at this NATS are, as a name concerns only those who meet there.

    None where there is no place for them, as in a container, where no worker outlives its parent.
    """
    home = Path(tempfile.gettempdir()) / f"hostler-router-{os.getuid()}"
    folder = home / hashlib.sha256(nats_url.encode()).hexdigest()[:16]
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        facts = home.lstat()
        if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or home.is_symlink():
            return None
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return folder


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of this file; None where another process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)  # it was given up, and taken away, between the two calls


async def _give_up(slots: list[Slot]) -> None:
    for slot in slots:
        slot.give_up()


async def _stop(workers: list[Worker], drain_timeout_seconds: float) -> None:
    timeout_seconds = drain_timeout_seconds + _STOP_MARGIN_SECONDS
    await asyncio.gather(*(worker.stop(timeout_seconds) for worker in workers))


async def _close(holder: socket.socket) -> None:
    holder.close()


def _lock_folder() -> Path | None:
    """Where this user's locks are; None where there is no place for them, as in a container, where no worker outlives its parent."""
    folder = Path(tempfile.gettempdir()) / f"hostler-router-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        if facts.st_uid == os.getuid() and not facts.st_mode & 0o077 and not folder.is_symlink():
            return folder
    return None


class WorkersCollector(Collector):
    """What the parent itself knows of its workers."""

    def __init__(self, workers: list[Worker]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        serving = GaugeMetricFamily(
            "hostler_router_worker_serving", "1 where a worker takes requests.", labels=["worker"]
        )
        restarts = CounterMetricFamily(
            "hostler_router_worker_restarts", "How often a worker was started again.", labels=["worker"]
        )
        for worker in self._workers:
            serves = worker.report is not None and worker.report.serves
            serving.add_metric([worker.name], float(serves))
            restarts.add_metric([worker.name], worker.restarts)
        yield serving
        yield restarts
