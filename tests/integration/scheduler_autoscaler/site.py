"""A scheduler and an autoscaler on one memory bus, with the test in place of the api, the provisioner and the routers."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry

from hostler_autoscaler.recorder import DecisionRecorder
from hostler_autoscaler.service import Autoscaler
from hostler_autoscaler.settings import AutoscalerSettings
from hostler_bus.job_log import JobLog
from hostler_bus.leases import Lease, hold
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_contracts import catalogue, codec, subjects
from hostler_contracts.load import LoadWindow, LoadWindowV1, encode_window
from hostler_domain.capacity import Node
from hostler_domain.changes import Change, ReplicaReady
from hostler_domain.job import Job
from hostler_kit.clock import SystemClock
from hostler_kit.ids import new_id
from hostler_scheduler.service import Projections, Scheduler
from hostler_scheduler.settings import SchedulerSettings
from tests.support.builders import JOB_ID
from tests.support.eventually import eventually
from tests.unit.scheduler.cluster import CPU_SMALL, node

SCHEDULING = SchedulerSettings(resync_seconds=0.05, lease_seconds=2)
SCALING = AutoscalerSettings(tick_seconds=0.02, lease_seconds=2)
PROJECT = "default"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Running:
    """A service with its lease; leaving its block is its orderly end."""

    lease: Lease
    service: Scheduler | Autoscaler
    registry: CollectorRegistry
    jobs: JobProjection
    known: Projections | None = None

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


class Site:
    """The bus and what a test does to it."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.server = MemoryServer(self.clock)
        self.bus = MemoryBus(self.server)
        self.log = JobLog(self.bus, source="/hostler/test", clock=self.clock)
        self.known = JobProjection()

    def job(self, job_id: str = JOB_ID) -> Job | None:
        entry = self.known.get(job_id)
        return None if entry is None else entry.job

    async def append(self, *changes: Change, job_id: str = JOB_ID) -> Job:
        """Append changes to a job, whoever else writes at the same time."""
        entry = None
        for change in changes:
            entry = await self.log.execute(PROJECT, job_id, lambda _, change=change: (change,))
        assert entry is not None
        return entry.job

    async def events(self, job_id: str = JOB_ID) -> list[str]:
        return [codec.name_of(event) async for _, event in self.log.history(PROJECT, job_id)]

    async def last_change(self, kind: type[Change], job_id: str = JOB_ID) -> Change:
        """The latest change of a kind."""
        found = [
            event.data.change
            async for _, event in self.log.history(PROJECT, job_id)
            if isinstance(event.data.change, kind)  # type: ignore[attr-defined]  # every job event has data
        ]
        return found[-1]

    async def report(self, reported: Node) -> None:
        await self.bus.bucket(subjects.BUCKET_NODES).put(reported.key, catalogue.NODES.encode(reported))

    async def report_here(self, cpu_cores: float = 8, **more: object) -> None:
        await self.report(node("node-a", cpu_cores=cpu_cores, reported_at=now(), **more))  # type: ignore[arg-type]  # checked by the test

    async def load(self, *windows: LoadWindow) -> None:
        for window in windows:
            event = LoadWindowV1(
                id=new_id(),
                source="/hostler/router/test",
                subject=window.job_id,
                time=now(),
                project=PROJECT,
                data=window,
            )
            await self.bus.append(
                subjects.metrics(PROJECT, window.job_id), encode_window(event), msg_id=event.id
            )

    async def minute(
        self, *, rps: float, router: str = "router-1", job_id: str = JOB_ID, audio_seconds: int = 0
    ) -> None:
        """The windows that a router would have published in the last minute."""
        for number in range(12, 0, -1):
            await self.load(
                LoadWindow(
                    router=router,
                    job_id=job_id,
                    started_at=now() - timedelta(seconds=5 * number),
                    seconds=5,
                    arrivals=round(rps * 5),
                    completed=round(rps * 5),
                    failed=0,
                    in_flight=0,
                    audio_seconds=round(rps * 5) * audio_seconds,
                )
            )

    async def make_ready(self, job_id: str = JOB_ID) -> None:
        """What a provisioner would do, at once: every replica that has a place serves."""
        job = self.job(job_id)
        assert job is not None
        for replica in job.active_replicas:
            url = f"http://127.0.0.1:9/{replica.replica_id}"
            await self.append(ReplicaReady(now(), replica.replica_id, url), job_id=job_id)

    async def until_active(self, replicas: int, job_id: str = JOB_ID) -> Job:
        def there() -> bool:
            job = self.job(job_id)
            return job is not None and len(job.active_replicas) == replicas

        await eventually(there)
        job = self.job(job_id)
        assert job is not None
        return job

    @asynccontextmanager
    async def scheduler(
        self, name: str = "scheduler-1", *, follows_jobs: bool = True, turns: bool = True
    ) -> AsyncIterator[Running]:
        bus, registry = MemoryBus(self.server), CollectorRegistry()
        known = Projections(
            JobProjection(),
            CatalogueProjection(subjects.BUCKET_NODES, catalogue.NODES),
            CatalogueProjection(subjects.BUCKET_HARDWARE_PROFILES, catalogue.HARDWARE_PROFILES),
            CatalogueProjection(subjects.BUCKET_PROJECTS, catalogue.PROJECTS),
        )
        async with hold(bus, "scheduler", holder=name, ttl_seconds=2, clock=self.clock) as lease:
            scheduler = Scheduler(
                known,
                JobLog(bus, source=f"/hostler/scheduler/{name}", clock=self.clock),
                lease,
                SCHEDULING,
                clock=self.clock,
                new_ids=new_id,
                logger=structlog.get_logger(),
                registry=registry,
            )
            work = [known.nodes.run(bus), known.profiles.run(bus), known.projects.run(bus)]
            work += [scheduler.watch_lease()]
            work += [known.jobs.run(bus)] if follows_jobs else []
            work += [scheduler.loop.run()] if turns else []
            async with tasks(*work):
                yield Running(lease, scheduler, registry, known.jobs, known)

    @asynccontextmanager
    async def autoscaler(
        self, name: str = "autoscaler-1", *, settings: AutoscalerSettings = SCALING
    ) -> AsyncIterator[Running]:
        bus, jobs, registry = MemoryBus(self.server), JobProjection(), CollectorRegistry()
        async with hold(bus, "autoscaler", holder=name, ttl_seconds=2, clock=self.clock) as lease:
            source = f"/hostler/autoscaler/{name}"
            recorder = DecisionRecorder(bus, source=source, logger=structlog.get_logger(), registry=registry)
            autoscaler = Autoscaler(
                bus,
                jobs,
                JobLog(bus, source=source, clock=self.clock),
                lease,
                settings,
                recorder=recorder,
                clock=self.clock,
                logger=structlog.get_logger(),
                registry=registry,
            )
            async with tasks(
                jobs.run(bus),
                autoscaler.follow_windows(),
                autoscaler.watch_lease(),
                recorder.run(),
                autoscaler.loop.run(),
            ):
                yield Running(lease, autoscaler, registry, jobs)


@asynccontextmanager
async def tasks(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run these beside the block, and see to it that none of them ended by itself."""
    running = [asyncio.create_task(each) for each in work]
    try:
        yield
        for task in running:
            assert not task.done(), task
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    """A site with a hardware profile, and the test's own projection of it."""
    site = Site()
    profiles = site.bus.bucket(subjects.BUCKET_HARDWARE_PROFILES)
    await profiles.put(CPU_SMALL.name, catalogue.HARDWARE_PROFILES.encode(CPU_SMALL))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(tasks(site.known.run(site.bus)))
        yield site
        await site.bus.drain()
