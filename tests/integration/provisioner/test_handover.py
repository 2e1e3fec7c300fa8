"""A provisioner that leads no more lets go of its backend, whatever it was doing."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry

from hostler_bus.job_log import JobLog
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_kit.clock import SystemClock
from hostler_kit.secret_key import SecretKey
from hostler_provisioner.backend import ObservedReplica
from hostler_provisioner.effects import Effects
from hostler_provisioner.launches import Launches
from hostler_provisioner.metrics import ProvisionerMetrics
from hostler_provisioner.service import Provisioner
from hostler_provisioner.settings import ProvisionerSettings
from tests.simulation.faults import SimulatedPlace, Weather
from tests.support.eventually import eventually


@dataclass
class PlaceWithALock(SimulatedPlace):
    """Like the local backend it is open from the first call until it is closed, and nobody else can have it meanwhile."""

    open: bool = False

    async def observe(self) -> tuple[ObservedReplica, ...]:
        self.open = True
        return await super().observe()

    async def stop(self, replica_id: str, grace_seconds: float) -> None:
        self.open = True

    async def close(self) -> None:
        self.open = False


@dataclass
class LeaseInTheHandsOfATest:
    held: bool = True
    never: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def provisioner_on(place: PlaceWithALock, lease: LeaseInTheHandsOfATest) -> AsyncIterator[Provisioner]:
    clock = SystemClock()
    bus = MemoryBus(MemoryServer(clock))
    jobs = JobProjection()
    provisioner = Provisioner(
        bus,
        jobs,
        place,
        lease,  # type: ignore[arg-type]  # of a lease it only asks whether it is held
        ProvisionerSettings(),
        clock,
        structlog.get_logger(),
        ProvisionerMetrics(CollectorRegistry()),
    )
    provisioner.use(
        Effects(
            bus,
            JobLog(bus, source="/hostler/test", clock=clock),
            jobs,
            place,
            Launches(bus.bucket(subjects.BUCKET_SECRETS), SecretKey(b"s" * 32)),
            clock,
            structlog.get_logger(),
            stop_grace_seconds=1,
            done=provisioner.loop.note,
        )
    )
    tasks = [asyncio.create_task(work) for work in (jobs.run(bus), provisioner.loop.run())]
    yield provisioner
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await bus.drain()


async def test_what_it_opens_after_it_lost_the_lease_is_closed_again() -> None:
    weather = Weather(random.Random(1))
    weather.calm()
    place, lease = PlaceWithALock(SystemClock(), weather, cores=4), LeaseInTheHandsOfATest()
    async with provisioner_on(place, lease) as provisioner:
        await eventually(lambda: place.open)
        lease.held = False
        provisioner.loop.note()
        await eventually(lambda: not place.open)
        # An effect that had been begun before.
        await place.stop("r1", 1)
        provisioner.loop.note()
        await eventually(lambda: not place.open)
