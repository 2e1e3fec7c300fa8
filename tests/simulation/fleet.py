"""The whole fleet in one process: real services, simulated machines and callers, in a world that a test chooses (`worlds.py`).

Two of every leading service run, both of which believe that they lead, so that only compare-and-set stands between them.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog
from prometheus_client import CollectorRegistry

from hostler_autoscaler.recorder import DecisionRecorder
from hostler_autoscaler.service import Autoscaler
from hostler_autoscaler.settings import AutoscalerSettings
from hostler_bus.errors import BusError
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.port import Bus
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_contracts import catalogue, subjects
from hostler_domain.catalogue import HardwareProfile
from hostler_domain.changes import Change
from hostler_domain.commands import CreateJob, DeleteJob, decide
from hostler_domain.errors import Conflict
from hostler_domain.job import Job
from hostler_domain.lifecycle import RestartJob, ResumeJob, StopJob, UpdateJob
from hostler_kit.secret_key import SecretKey
from hostler_provisioner.effects import Effects
from hostler_provisioner.launches import Launches
from hostler_provisioner.metrics import ProvisionerMetrics
from hostler_provisioner.service import Provisioner
from hostler_provisioner.settings import ProvisionerSettings
from hostler_router.balance import pick
from hostler_router.metrics import RouterMetrics
from hostler_router.outstanding import Outstanding
from hostler_router.presence import Presence
from hostler_router.reporting import WindowReporter
from hostler_router.table import RouteTable
from hostler_router.windows import Present, WindowRecorder
from hostler_scheduler.service import Projections, Scheduler
from hostler_scheduler.settings import SchedulerSettings
from tests.simulation.faults import SimulatedPlace, StormyBus, Weather
from tests.simulation.worlds import World
from tests.support.builders import spec

PROFILE = HardwareProfile("cpu.small", None, None, cpu_cores=1, memory_bytes=2**30, price_per_hour=0.1)
CORES = 6.0
logger = structlog.get_logger("simulation")


class AlwaysHeld:
    """A lease that two hold at once: what leases can't rule out."""

    held = True

    async def changed(self) -> bool:
        await asyncio.Event().wait()
        return True


class Fleet:
    """Everything, wired up."""

    def __init__(self, seed: int, world: World) -> None:
        self.world = world
        self.pace = world.pace
        self.rng = random.Random(seed)
        self.clock = world.clock
        self.weather = Weather(random.Random(seed + 1), late=0.5 * world.pace)
        self.place = SimulatedPlace(self.clock, self.weather, CORES, pace=world.pace)
        self.accepted: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.routers = [SimulatedRouter(self, f"router-{number}") for number in (1, 2)]
        self.witness: Bus
        self.wishes: JobLog
        self._buses: list[Bus] = []
        self._tasks: list[asyncio.Task[None]] = []

    def _ids(self, prefix: str) -> Callable[[], str]:
        count = iter(range(10**9))
        return lambda: f"{prefix}-{next(count):06}"

    async def connect(self) -> Bus:
        bus = await self.world.connect()
        self._buses.append(bus)
        return bus

    async def bus(self) -> StormyBus:
        """A service's connection, in bad weather."""
        return StormyBus(await self.connect(), self.weather)

    def spawn(self, work) -> None:  # type: ignore[no-untyped-def]  # any coroutine
        self._tasks.append(asyncio.create_task(work))

    async def start(self) -> None:
        self.witness = await self.connect()
        self.wishes = JobLog(
            self.witness, source="/hostler/api/sim", clock=self.clock, new_id=self._ids("wish")
        )
        profiles = self.witness.bucket(subjects.BUCKET_HARDWARE_PROFILES)
        await profiles.put(PROFILE.name, catalogue.HARDWARE_PROFILES.encode(PROFILE))
        self.spawn(self.place.live())
        for number in (1, 2):
            await self._start_scheduler(f"scheduler-{number}")
            await self._start_provisioner(f"provisioner-{number}")
            await self._start_autoscaler(f"autoscaler-{number}")
        for router in self.routers:
            await router.start()

    def _log(self, bus: StormyBus, name: str) -> JobLog:
        return JobLog(bus, source=f"/hostler/{name}", clock=self.clock, new_id=self._ids(name))

    def _jobs(self, bus: StormyBus) -> JobProjection:
        jobs = JobProjection()
        self.spawn(jobs.run(bus))
        return jobs

    def _deafen(self, loop) -> None:  # type: ignore[no-untyped-def]  # a Reconciler
        """Lose some of the wake-ups of a reconcile loop."""
        heard = loop.note
        loop.note = lambda: None if self.weather.strikes(self.weather.deaf) else heard()

    async def _start_scheduler(self, name: str) -> None:
        bus = await self.bus()
        known = Projections(
            self._jobs(bus),
            CatalogueProjection(subjects.BUCKET_NODES, catalogue.NODES),
            CatalogueProjection(subjects.BUCKET_HARDWARE_PROFILES, catalogue.HARDWARE_PROFILES),
            CatalogueProjection(subjects.BUCKET_PROJECTS, catalogue.PROJECTS),
        )
        self.spawn(known.projects.run(bus))
        self.spawn(known.nodes.run(bus))
        self.spawn(known.profiles.run(bus))
        scheduler = Scheduler(
            known,
            self._log(bus, name),
            AlwaysHeld(),  # type: ignore[arg-type]  # the broken lease is the point
            SchedulerSettings(resync_seconds=5 * self.pace),
            clock=self.clock,
            new_ids=self._ids(f"{name}-r"),
            logger=logger,
            registry=CollectorRegistry(),
        )
        self._deafen(scheduler.loop)
        self.spawn(scheduler.loop.run())

    async def _start_provisioner(self, name: str) -> None:
        bus = await self.bus()
        jobs = self._jobs(bus)
        settings = ProvisionerSettings(
            drain_timeout_seconds=120 * self.pace,
            unhealthy_timeout_seconds=30 * self.pace,
            node_report_seconds=10 * self.pace,
            resync_seconds=2 * self.pace,
        )
        provisioner = Provisioner(
            bus,
            jobs,
            self.place,
            AlwaysHeld(),  # type: ignore[arg-type]  # as above
            settings,
            self.clock,
            logger,
            ProvisionerMetrics(CollectorRegistry()),
        )
        self._deafen(provisioner.loop)
        effects = Effects(
            bus,
            self._log(bus, name),
            jobs,
            self.place,
            Launches(bus.bucket(subjects.BUCKET_SECRETS), SecretKey(b"s" * 32)),
            self.clock,
            logger,
            stop_grace_seconds=5,
            done=provisioner.loop.note,
        )
        provisioner.use(effects)
        self.spawn(provisioner.report_nodes())
        self.spawn(provisioner.loop.run())

    async def _start_autoscaler(self, name: str) -> None:
        bus = await self.bus()
        jobs = self._jobs(bus)
        registry = CollectorRegistry()
        recorder = DecisionRecorder(
            bus, source=f"/hostler/autoscaler/{name}", logger=logger, registry=registry
        )
        autoscaler = Autoscaler(
            bus,
            jobs,
            self._log(bus, name),
            AlwaysHeld(),  # type: ignore[arg-type]  # as above
            AutoscalerSettings(tick_seconds=2 * self.pace, save_seconds=10 * self.pace),
            recorder=recorder,
            clock=self.clock,
            logger=logger,
            registry=registry,
        )
        self.spawn(recorder.run())
        self.spawn(autoscaler.follow_windows())
        self.spawn(autoscaler.loop.run())

    async def user(self, seconds: float) -> None:
        """Make jobs, change, stop, resume and restart some, take some down."""
        end = self.clock.monotonic() + seconds * self.pace
        number = 0
        while self.clock.monotonic() < end:
            await asyncio.sleep(self.rng.random() * 20 * self.pace)
            if len(self.accepted) - len(self.deleted) < 4:
                number += 1
                await self._create(number)
            elif (drawn := self.rng.random()) < 0.3:
                await self._delete(self.rng.choice(sorted(set(self.accepted) - self.deleted)))
            elif drawn < 0.7:
                await self._change(self.rng.choice(sorted(set(self.accepted) - self.deleted)))

    async def _create(self, number: int) -> None:
        minimum = self.rng.randint(1, 2)
        wanted = spec(
            minimum=minimum,
            maximum=minimum + self.rng.randint(0, 2),
            name=f"job-{number}",
            priority=(40, 90, 150)[number % 3],
            preemptible=number % 2 == 0,
        )
        job_id = f"job-{number:03}"
        (change,) = decide(None, CreateJob(self.clock.now(), job_id, wanted, None, "user"))
        await self.wishes.append(None, change)
        self.accepted[job_id] = wanted.name

    async def _change(self, job_id: str) -> None:
        """Stop, resume or restart it, or give it other arguments; what its phase does not allow is refused and left."""
        kind = self.rng.choice(["stop", "resume", "resume", "restart", "update"])
        tokens = str(self.rng.choice([1024, 2048]))

        def wish(job: Job | None) -> tuple[Change, ...]:
            now = self.clock.now()
            assert job is not None
            match kind:
                case "stop":
                    return decide(job, StopJob(now, "user"))
                case "resume":
                    return decide(job, ResumeJob(now, "user"))
                case "restart":
                    return decide(job, RestartJob(now, "user"))
                case _:
                    serving = replace(job.spec.serving, args={"n_ctx": tokens})
                    return decide(job, UpdateJob(now, replace(job.spec, serving=serving), "user"))

        with suppress(Conflict):
            await self.wishes.execute("default", job_id, wish)

    async def _delete(self, job_id: str) -> None:
        command = DeleteJob(self.clock.now(), "user")
        await self.wishes.execute("default", job_id, lambda job: decide(job, command))
        self.deleted.add(job_id)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for bus in self._buses:
            await bus.drain()
        bugs = [each for each in results if isinstance(each, Exception) and not isinstance(each, BusError)]
        assert bugs == []


class SimulatedRouter:
    """A router whose requests are only counted: its table, balance, windows and presence are the real ones."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet = fleet
        self.name = name
        self.table = RouteTable()
        self.outstanding = Outstanding()
        self.recorder = WindowRecorder()
        self.failed_by_us = 0
        self.answered = 0

    async def start(self) -> None:
        fleet, bus = self.fleet, await self.fleet.bus()
        jobs = JobProjection()

        def take(entry: JobEntry) -> None:
            self.table.apply(entry.job)

        jobs.on_change(take)
        presence = Presence(
            bus,
            self.outstanding,
            seen_seq=lambda: jobs.seq,
            name=self.name,
            ttl_seconds=10,
            clock=fleet.clock,
            logger=logger,
        )
        await presence.enter()
        reporter = WindowReporter(
            bus,
            self.table,
            self.recorder,
            lambda: Present(self.outstanding.counts),
            name=self.name,
            period_seconds=5 * fleet.pace,
            clock=fleet.clock,
            metrics=RouterMetrics(CollectorRegistry()),
            logger=logger,
        )
        for work in (jobs.run(bus), presence.run(), reporter.run(), self._callers()):
            fleet.spawn(work)

    async def _callers(self) -> None:
        """Waves of requests."""
        rng = self.fleet.rng
        while True:
            await asyncio.sleep(rng.random() * 2 * self.fleet.pace)
            for entry in list(self.table.entries):
                if entry.endpoints and rng.random() < 0.7:
                    self.fleet.spawn(self._request(entry.job_id))

    async def _request(self, job_id: str) -> None:
        place = self.fleet.place
        chosen = pick(self.table.endpoints(job_id), outstanding=self.outstanding.counts, rng=self.fleet.rng)
        if chosen is None:
            return
        replica_id = chosen.replica_id
        self.outstanding.begin(replica_id)
        self.recorder.arrived(job_id)
        place.requests_on[replica_id] = place.requests_on.get(replica_id, 0) + 1
        took = self.fleet.rng.random() * 4 * self.fleet.pace
        await asyncio.sleep(took)
        place.requests_on[replica_id] -= 1
        self.outstanding.end(replica_id)
        self.recorder.completed(job_id, replica_id, took * 1000)
        self.recorder.left(job_id)
        self.answered += 1
