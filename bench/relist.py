"""What it costs a service to hold its projection against the log: CPU, messages and memory of one resync with many jobs.

Run it with `make bench-relist`, or `python bench/relist.py --jobs 10000`. It fills a nats-server of its own as `bench/projection.py` does, starts a
projection, and resyncs it three times: when nothing was missed, again, and after one job in a hundred was missed. Figures of one run belong
together; those of two machines do not.
"""

import argparse
import asyncio
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from projection import caught_up, fill, nats_server

from hostler_bus.job_log import JobLog
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.projection import JobProjection
from hostler_bus.reading import listed
from hostler_contracts import subjects
from hostler_kit.clock import SystemClock
from hostler_kit.logs import configure_logs
from hostler_kit.settings import PlatformSettings

MISSED_SHARE = 0.01


@dataclass
class Cost:
    """What one piece of work took."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    peak_mib: float = 0.0


def server_process() -> psutil.Process:
    """The nats-server that this process has started."""
    return next(child for child in psutil.Process().children() if "nats-server" in child.name())


@contextmanager
def measured(server: psutil.Process) -> Iterator[Cost]:
    """The cost of the block, in this process and in the server."""
    cost = Cost()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu, times = time.perf_counter(), time.process_time(), server.cpu_times()
    yield cost
    cost.seconds = time.perf_counter() - wall
    cost.cpu_seconds = time.process_time() - cpu
    after = server.cpu_times()
    cost.server_cpu_seconds = after.user + after.system - times.user - times.system
    cost.peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024


async def _at_once() -> None:
    """Nothing is on its way here."""


async def resync(name: str, projection: JobProjection, bus: NatsBus, server: psutil.Process) -> None:
    """One resync, printed."""
    with measured(server) as cost:
        repaired = await projection.resync(bus, _at_once)
    share = cost.cpu_seconds / PlatformSettings().projection_resync_seconds
    print(
        f"{name:16}{cost.seconds:8.2f} s, {cost.cpu_seconds:.2f} s of CPU here and {cost.server_cpu_seconds:.2f} s in the server,"
        f" peak +{cost.peak_mib:.0f} MiB, {repaired} repaired; {share:.2%} of a core at the default period"
    )


async def measure(url: str, jobs: int) -> None:
    """Run everything once and print it."""
    writer = await connect(url, name="bench-writer")
    events = await fill(JobLog(writer, source="/hostler/bench", clock=SystemClock()), jobs)
    await writer.drain()
    server = server_process()
    bus = await connect(url, name="bench-reader")
    with measured(server) as start:
        running = caught_up(bus)
        projection = await running.__aenter__()
    print(
        f"{'start':16}{start.seconds:8.2f} s, {start.cpu_seconds:.2f} s of CPU here and {start.server_cpu_seconds:.2f} s in the server,"
        f" for {len(projection.jobs)} jobs with {events} events"
    )
    messages = size = 0
    async for message in listed(bus, subjects.JOBS, subjects.JOBS_SUBJECTS):
        messages += 1
        size += len(message.data)
    print(f"{'list':16}{messages:8} messages, {size / 2**20:.0f} MiB")
    await resync("nothing missed", projection, bus, server)
    await resync("again", projection, bus, server)
    await running.__aexit__(None, None, None)

    behind = JobProjection()
    for number, entry in enumerate(projection.jobs.values()):
        if number % round(1 / MISSED_SHARE):
            behind.apply(entry)
    configure_logs(service="bench", level="error", form="console")  # a line for each that was missed
    await resync(f"{MISSED_SHARE:.0%} missed", behind, bus, server)
    await bus.drain()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    jobs = parser.parse_args().jobs
    configure_logs(service="bench", level="warning", form="console")
    memory = psutil.virtual_memory().total / 2**30
    print(
        f"{platform.machine()}, {psutil.cpu_count()} CPUs, {memory:.0f} GiB, Python {platform.python_version()}"
    )
    with nats_server() as url:
        asyncio.run(measure(url, jobs))


if __name__ == "__main__":
    main()
