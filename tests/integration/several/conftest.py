import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostler_api.bootstrap import write_shipped_catalogue
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.nats_bus import NatsBus
from hostler_bus.port import Message
from hostler_bus.projection import JobProjection
from hostler_contracts import catalogue, codec, subjects
from hostler_domain.capacity import Node, Resources
from hostler_domain.changes import Change, JobCreated
from hostler_domain.job import Job, Serving
from hostler_domain.phases import PhaseReason
from hostler_kit.clock import SystemClock
from tests.support.builders import spec
from tests.support.services import Services, service_processes, until, whole_log


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with service_processes(tmp_path) as running:
        yield running


@dataclass
class Witness:
    """The test's own eyes and hands at NATS: what the log says, and wishes put into it."""

    bus: NatsBus
    log: JobLog
    jobs: JobProjection

    async def create(self, job_id: str, *, replicas: int = 1, runtime: str = "llamacpp", **args: str) -> None:
        serving = Serving(args, {}) if runtime == "simulated" else Serving({"n_ctx": "2048"}, {})
        wanted = spec(
            minimum=replicas, maximum=5, initial=replicas, name=job_id, runtime=runtime, serving=serving
        )
        await self.log.append(None, JobCreated(datetime.now(UTC), job_id, wanted, None, "key-1"))

    async def append(self, job_id: str, change: Change) -> None:
        await self.log.execute("default", job_id, lambda _: (change,))

    def job(self, job_id: str) -> Job | None:
        entry: JobEntry | None = self.jobs.get(job_id)
        return None if entry is None else entry.job

    def reason(self, job_id: str) -> PhaseReason | None:
        """Why the job is where it is."""
        job = self.job(job_id)
        return None if job is None else job.status.phase_reason

    async def report_node(self, cpu_cores: float) -> None:
        """A machine with this much room, that no provisioner looks after."""
        node = Node(
            "node-a",
            "local",
            Resources(cpu_cores, 2**40),
            gpu_model=None,
            runtimes=("llamacpp",),
            models=None,
            reported_at=datetime.now(UTC),
        )
        await self.bus.bucket(subjects.BUCKET_NODES).put(node.key, catalogue.NODES.encode(node))

    async def until_active(self, job_id: str, replicas: int) -> Job:
        def there() -> bool:
            job = self.job(job_id)
            return job is not None and len(job.active_replicas) == replicas

        await until(there, f"{job_id} has {replicas} replicas")
        job = self.job(job_id)
        assert job is not None
        return job

    async def until_ready(self, job_id: str, replicas: int) -> None:
        def there() -> bool:
            job = self.job(job_id)
            return job is not None and len(job.ready_replicas) == replicas

        await until(there, f"{job_id} has {replicas} ready replicas")

    async def history(self) -> list[Message]:
        return await whole_log(self.bus)

    async def writers(self, job_id: str, event: str) -> list[str]:
        """Who wrote the events of one kind of a job, oldest first."""
        events = [codec.decode(message.data) for message in await self.history()]
        return [
            each.source.rpartition("/")[2]
            for each in events
            if each.subject == job_id and codec.name_of(each) == event
        ]


@pytest.fixture
async def witness(services: Services) -> AsyncIterator[Witness]:
    bus = await services.operator()
    await write_shipped_catalogue(bus, datetime.now(UTC))
    jobs = JobProjection()
    following = asyncio.create_task(jobs.run(bus))
    await until(lambda: jobs.caught_up, "the witness reads the log")
    yield Witness(bus, JobLog(bus, source="/hostler/test/witness", clock=SystemClock()), jobs)
    await bus.drain()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
