"""What the log costs with many jobs: appends, the start of a projection, a list, and the way from an event to a route.

Run it with `make bench`, or `python bench/projection.py --jobs 10000`. It starts a nats-server of its own in a temporary folder, with the
server's default sync (what `always` costs is another question), writes the lives of the jobs, and prints what it measured beside
the facts of the machine. Figures of one run belong together; those of two machines do not.
"""

import argparse
import asyncio
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.nats_bus import connect
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_domain.capacity import Resources
from hostler_domain.changes import (
    Change,
    JobCreated,
    ReplicaBooting,
    ReplicaImporting,
    ReplicaLoading,
    ReplicaReady,
    ReplicaScheduled,
    ReplicaUnhealthy,
)
from hostler_domain.job import JobSpec, Placement, Progress, Serving
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from hostler_kit.clock import SystemClock
from hostler_kit.ids import new_id
from hostler_kit.logs import configure_logs

WRITERS = 100
ROUTE_SAMPLES = 300


def life(number: int) -> Iterator[Change]:
    """Eight events of one job: made, placed, started, ready, and once unwell."""
    at = datetime.now(UTC)
    spec = JobSpec(
        name=f"job-{number}",
        project="default",
        model="Qwen/Qwen3-32B",
        runtime="vllm",
        runtime_image="registry.example/vllm:1",
        serving=Serving(
            {"max-model-len": "32768", "gpu-memory-utilization": "0.9"}, {"VLLM_NO_USAGE_STATS": "1"}
        ),
        hardware_profile="gpu.a100",
        gpu_count=1,
        scaling=Scaling(max_replicas=4, targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 10.0),)),
    )
    replica = new_id()
    yield JobCreated(at, new_id(), spec, None, "bench")
    yield ReplicaScheduled(at, replica, Placement("local", f"node-{number % 50}", Resources(12, 2**37, 1)))
    yield ReplicaImporting(at, replica, Progress(0.5, "importing the root disk"))
    yield ReplicaBooting(at, replica, Progress(None, "booting"))
    yield ReplicaLoading(at, replica, Progress(0.5, "loading the weights"))
    yield ReplicaReady(at, replica, "http://10.0.0.1:8000")
    yield ReplicaUnhealthy(at, replica, "3 health checks failed")
    yield ReplicaReady(at, replica, "http://10.0.0.1:8000")


@contextmanager
def nats_server() -> Iterator[str]:
    """A server of our own; gives its address."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        binary = Path(sys.executable).with_name("nats-server")
        server = subprocess.Popen(
            [str(binary), "-js", "-sd", folder, "-a", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"nats://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


@asynccontextmanager
async def caught_up(bus: Bus) -> AsyncIterator[JobProjection]:
    """A projection that has read everything and follows."""
    projection = JobProjection()
    done = asyncio.Event()
    projection.on_caught_up(done.set)
    running = asyncio.create_task(projection.run(bus))
    await done.wait()
    try:
        yield projection
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def fill(log: JobLog, jobs: int) -> int:
    """Write the lives of all jobs, many at a time; gives the number of events."""
    numbers = iter(range(jobs))
    written = 0

    async def writer() -> None:
        nonlocal written
        for number in numbers:
            entry: JobEntry | None = None
            for change in life(number):
                entry = await log.append(entry, change)
                written += 1

    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    return written


async def route_latencies(log: JobLog, projection: JobProjection) -> list[float]:
    """Milliseconds from the begin of an append until another connection's projection has it."""
    arrived = asyncio.Event()
    seen = 0

    def take(entry: JobEntry) -> None:
        nonlocal seen
        seen = entry.seq
        arrived.set()

    projection.on_change(take)
    entry = next(iter(projection.jobs.values()))
    replica = entry.job.replicas[0].replica_id
    found = []
    for _ in range(ROUTE_SAMPLES):
        began = time.perf_counter()
        entry = await log.append(entry, ReplicaReady(datetime.now(UTC), replica, "http://10.0.0.1:8000"))
        while seen < entry.seq:
            arrived.clear()
            await arrived.wait()
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


async def measure(url: str, jobs: int) -> None:
    """Run everything once and print it."""
    clock = SystemClock()
    writer_bus = await connect(url, name="bench-writer")
    log = JobLog(writer_bus, source="/hostler/bench", clock=clock)

    began = time.perf_counter()
    one = None
    for change in life(0):
        one = await log.append(one, change)
    sequential = 8 / (time.perf_counter() - began)
    began = time.perf_counter()
    events = await fill(log, jobs)
    seconds = time.perf_counter() - began
    print(
        f"append          {events / seconds:9.0f} events/s with {WRITERS} writers, {sequential:.0f}/s one after the other"
    )

    before = psutil.Process().memory_info().rss
    reader_bus = await connect(url, name="bench-reader")
    began = time.perf_counter()
    async with caught_up(reader_bus) as projection:
        seconds = time.perf_counter() - began
        grown = (psutil.Process().memory_info().rss - before) / 2**20
        print(
            f"projection      {seconds:9.2f} s and {grown:.0f} MiB for {len(projection.jobs)} jobs, {events} events"
        )
        began = time.perf_counter()
        newest = sorted(projection.jobs.values(), key=lambda entry: entry.job.job_id, reverse=True)[:50]
        print(f"list            {(time.perf_counter() - began) * 1000:9.2f} ms for the newest {len(newest)}")
        latencies = await route_latencies(log, projection)
        print(
            f"event to route  {statistics.median(latencies):9.2f} ms median,"
            f" {latencies[int(len(latencies) * 0.99)]:.2f} ms p99, append included"
        )
    await reader_bus.drain()
    await writer_bus.drain()


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
