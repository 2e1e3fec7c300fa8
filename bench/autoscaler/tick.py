"""What a tick of the autoscaler's own service takes with ten thousand jobs: `python -m bench.autoscaler.tick [JOBS]`.

The real service on a bus in memory: load windows of two routers for the last minute, a job in ten busy, a job in ten asleep. Printed are the
windows that are read per second, the first tick, in which every job is new, a minute of later ones, and what it takes to write down the
records that are due in this minute; all in seconds of this process's own time, the memory bus with its stored states included.

The time of day is the bench's own and goes on by a tick each tick, new windows with it: filling the bus takes half a minute,
after which the news would be too old to be decided from, and a tick be cheap for no merit of its own.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry

from hostler_autoscaler.recorder import DecisionRecorder
from hostler_autoscaler.service import Autoscaler
from hostler_autoscaler.settings import AutoscalerSettings
from hostler_bus.job_log import JobLog
from hostler_bus.leases import hold
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.load import LoadWindow, LoadWindowV1, encode_window
from hostler_domain.capacity import Resources
from hostler_domain.changes import JobCreated, ReplicaReady, ReplicaScheduled
from hostler_domain.job import JobSpec, Placement, Serving
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from hostler_kit.clock import SystemClock
from hostler_kit.ids import new_id

JOBS = 10_000
ROUTERS = ("router-1", "router-2")
PERIOD_SECONDS = 5
PERIODS = 12
TICK_SECONDS = 2.0
TICKS = 31
TARGETS = (
    ScalingTarget(ScalingMetric.THROUGHPUT, 2.0),
    ScalingTarget(ScalingMetric.LATENCY_P95, 20_000.0),
)


class BenchClock(SystemClock):
    """The machine's clock, but for the time of day, which the bench moves."""

    def __init__(self, began: datetime) -> None:
        self.at = began

    def now(self) -> datetime:
        """The time of day."""
        return self.at


def spec(number: int) -> JobSpec:
    """One in ten sleeps."""
    sleeps = number % 10 == 1
    scaling = Scaling(
        min_replicas=0 if sleeps else 1,
        max_replicas=8,
        initial_replicas=0 if sleeps else 1,
        targets=TARGETS,
    )
    return JobSpec(f"job-{number}", "default", "m", "vllm", None, Serving(), "gpu.l40s", 1, scaling)


def window(job_id: str, number: int, router: str, ended: datetime) -> LoadWindow:
    """One in ten is busy, with as much as its replica carries."""
    busy = number % 10 == 0
    return LoadWindow(
        router=router,
        job_id=job_id,
        started_at=ended - timedelta(seconds=PERIOD_SECONDS),
        seconds=PERIOD_SECONDS,
        arrivals=4 * busy,
        completed=4 * busy,
        failed=0,
        in_flight=6 * busy,
        queued=0,
        latency_ms={40: 1, 44: 2, 50: 1} if busy else {},
        first_token_ms={20: 4} if busy else {},
        completion_tokens=1200 * busy,
        latency_total_ms=9000.0 if busy else None,
        timed_ms=9000.0 if busy else None,
        timed_tokens=1200 if busy else None,
    )


async def make_jobs(bus: MemoryBus, clock: BenchClock, jobs: int) -> list[str]:
    """The log."""
    log, ids, began = JobLog(bus, source="/bench", clock=clock), [], clock.now() - timedelta(hours=1)
    for number in range(jobs):
        job_id, wanted = new_id(), spec(number)
        entry = await log.append(None, JobCreated(began, job_id, wanted, None, "key"))
        for replica in range(wanted.scaling.initial_replicas):
            replica_id, node = f"{job_id}-{replica}", Placement("c", "n", Resources(1, 1, 1))
            entry = await log.append(entry, ReplicaScheduled(began, replica_id, node))
            ready = ReplicaReady(began + timedelta(minutes=3), replica_id, "http://10.0.0.1:8000")
            entry = await log.append(entry, ready)
        ids.append(job_id)
    return ids


async def report(bus: MemoryBus, ids: Sequence[str], ended: datetime) -> None:
    """The load windows of one period."""
    for number, job_id in enumerate(ids):
        for router in ROUTERS:
            event = LoadWindowV1(
                id=new_id(),
                source=f"/hostler/router/{router}",
                subject=job_id,
                time=ended,
                project="default",
                data=window(job_id, number, router, ended),
            )
            await bus.append(subjects.metrics("default", job_id), encode_window(event), msg_id=event.id)


async def run(jobs: int) -> None:
    """Fill the bus, start the service, time its ticks."""
    clock, logger, registry = BenchClock(datetime.now(UTC)), structlog.get_logger(), CollectorRegistry()
    bus, known = MemoryBus(MemoryServer(clock)), JobProjection()
    ids = await make_jobs(bus, clock, jobs)
    for period in reversed(range(PERIODS)):
        await report(bus, ids, clock.at - timedelta(seconds=PERIOD_SECONDS * period))
    async with hold(bus, "autoscaler", holder="bench", ttl_seconds=3600, clock=clock) as lease:
        recorder = DecisionRecorder(bus, source="/bench", logger=logger, registry=registry)
        autoscaler = Autoscaler(
            bus,
            known,
            JobLog(bus, source="/bench", clock=clock),
            lease,
            # So long that a tick is never cut short: what is measured is a look at every job.
            AutoscalerSettings.model_construct(tick_seconds=3600.0, save_seconds=20.0, lease_seconds=5),
            recorder=recorder,
            clock=clock,
            logger=logger,
            registry=registry,
        )
        began = time.process_time()
        tasks = [asyncio.create_task(known.run(bus))]
        while not known.caught_up:  # noqa: ASYNC110  # none of them tells
            await asyncio.sleep(0.01)
        print(f"{jobs} jobs read in {time.process_time() - began:.2f} s")
        began = time.process_time()
        tasks.append(asyncio.create_task(autoscaler.follow_windows()))
        while not autoscaler.ready().ok:  # noqa: ASYNC110  # none of them tells
            await asyncio.sleep(0.01)
        seconds, windows = time.process_time() - began, jobs * PERIODS * len(ROUTERS)
        due = jobs * len(ROUTERS) / PERIOD_SECONDS
        print(
            f"{windows} load windows read in {seconds:.2f} s: {windows / seconds:.0f}/s, {due:.0f}/s come in"
        )
        while not lease.held:  # noqa: ASYNC110  # none of them tells
            await asyncio.sleep(0.01)
        reported_at, ticks = clock.at, []
        for _ in range(TICKS):
            if clock.at - reported_at >= timedelta(seconds=PERIOD_SECONDS):
                reported_at = clock.at
                await report(bus, ids, reported_at)
            autoscaler.look_at_all()
            ticks.append(await timed(autoscaler.tick()))
            looked = registry.get_sample_value("hostler_autoscaler_tick_jobs") or 0
            if looked != jobs:
                raise SystemExit(f"a tick looked at {looked:.0f} of {jobs} jobs")
            clock.at += timedelta(seconds=TICK_SECONDS)
        seconds = await timed(recorder.flush())
        tell(jobs, ticks, seconds, registry)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def timed(work: Awaitable[None]) -> float:
    """Seconds of this process's own time."""
    began = time.process_time()
    await work
    return time.process_time() - began


def tell(jobs: int, ticks: Sequence[float], records_seconds: float, registry: CollectorRegistry) -> None:
    """Print what the ticks took."""
    first, later = ticks[0], sorted(ticks[1:])
    seconds = sum(later) / len(later)
    print(f"first tick: {jobs} jobs in {first:.2f} s, {first / jobs * 1e6:.0f} us each")
    print(
        f"a whole tick: {jobs} jobs in {seconds:.2f} s, {seconds / jobs * 1e6:.0f} us each "
        f"(mean of {len(later)} over {len(later) * TICK_SECONDS:.0f} s; median {later[len(later) // 2]:.2f} s, "
        f"longest, with all states stored, {later[-1]:.2f} s)"
    )
    outcomes = ("written", "lost")
    written, lost = (
        registry.get_sample_value("hostler_autoscaler_records_total", {"outcome": outcome}) or 0
        for outcome in outcomes
    )
    print(f"{written:.0f} records written in {records_seconds:.2f} s, {lost:.0f} lost")


def main() -> None:
    """Measure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(f"{datetime.now(UTC):%Y-%m-%d} Python {sys.version.split()[0]}")
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS))


if __name__ == "__main__":
    main()
