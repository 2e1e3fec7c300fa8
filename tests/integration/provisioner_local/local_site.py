"""A data folder for local backends, a launch of the shipped model, and a way to follow a replica."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import structlog

from hostler_kit.clock import SystemClock
from hostler_provisioner.backend import Launch, ObservedReplica, Step
from hostler_provisioner.local.backend import LocalBackend
from hostler_provisioner.local.processes import find_marked
from hostler_provisioner.local.replica import LocalSettings

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
KEY = "the-replicas-own-key"


def launch(replica_id: str = "r-1", **changes) -> Launch:
    values = {
        "replica_id": replica_id,
        "job_id": "job-1",
        "project": "default",
        "model": MODEL,
        "served_name": "chat",
        "runtime": "llamacpp",
        "args": (("n_ctx", "512"), ("n_parallel", "2"), ("threads", "1")),
        "env": (),
        "cpu_cores": 1.0,
        "memory_bytes": 2**30,
        "api_key": KEY,
    }
    return Launch(**(values | changes))


async def step_of(
    backend: LocalBackend, replica_id: str, *wanted: Step
) -> tuple[ObservedReplica, list[Step]]:
    """Follow a replica by the backend's own wake-ups to one of the wanted steps; what it is then, and the way there."""
    way: list[Step] = []
    async with asyncio.timeout(30):
        while True:
            backend.changed.clear()
            (seen,) = [one for one in await backend.observe() if one.replica_id == replica_id]
            if not way or way[-1] is not seen.step:
                way.append(seen.step)
            if seen.step in wanted:
                return seen, way
            await backend.changed.wait()


@dataclass
class Site:
    """A data folder and the backends that were opened on it."""

    data_dir: Path
    settings: dict = field(default_factory=dict)
    _opened: list[LocalBackend] = field(default_factory=list)

    def backend(self) -> LocalBackend:
        settings = LocalSettings(self.data_dir, instance="test", **self.settings)
        backend = LocalBackend(settings, clock=SystemClock(), logger=structlog.get_logger())
        self._opened.append(backend)
        return backend

    def pids(self, replica_id: str = "r-1") -> list[int]:
        return find_marked(self.data_dir / "replicas").get(replica_id, [])

    async def close(self) -> None:
        for backend in self._opened:
            await backend.close()
        for pids in find_marked(self.data_dir / "replicas").values():
            for pid in pids:
                psutil.Process(pid).kill()
