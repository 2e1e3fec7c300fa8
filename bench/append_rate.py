"""What it costs that an acknowledged append is on disk: appends per second with `sync_interval: always` and with `2m`.

Run it with `make bench-append`, or `python bench/append_rate.py --seconds 2`. For each setting it starts a nats-server of its own with its
store below `--folder` (which should lie on the disk in question: a file system in memory costs nothing to sync), and appends by
compare-and-set first one after the other, each waiting for the one before, then with many writers on jobs of their own.
"""

import argparse
import asyncio
import platform
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from hostler_bus.nats_bus import connect
from hostler_bus.port import Bus, Expect
from hostler_cli.supervisor.conf_files import NATS_OPERATOR, nats_conf
from hostler_contracts import subjects
from hostler_kit.ids import new_id
from hostler_kit.logs import configure_logs

SETTINGS = ("always", "2m")
WRITERS = 100
BODY = secrets.token_bytes(1500)
"""About the size of an event; random, so that the stream's compression does not flatter."""


@contextmanager
def nats_server(folder: Path, sync_interval: str) -> Iterator[tuple[str, str]]:
    """A server of our own, as `hostler up` configures it; gives its address and the password."""
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
    password = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="hostler-bench-", dir=folder) as store:
        conf = Path(store) / "nats.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            nats_conf(
                port=ports[0],
                monitor_port=ports[1],
                store_dir=Path(store) / "jetstream",
                passwords={NATS_OPERATOR: password},
                sync_interval=sync_interval,
            )
        )
        binary = Path(sys.executable).with_name("nats-server")
        server = subprocess.Popen(
            [str(binary), "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield f"nats://127.0.0.1:{ports[0]}", password
        finally:
            server.terminate()
            server.wait()


async def appends_per_second(bus: Bus, writers: int, seconds: float) -> float:
    """Let each writer append to a job of its own until the time is over."""
    written = 0
    began = time.perf_counter()

    async def write() -> None:
        nonlocal written
        job_id, seq = new_id(), 0
        mine = subjects.job_events("bench", job_id)
        while time.perf_counter() - began < seconds:
            subject = subjects.job_event("bench", job_id, "replica.ready")
            seq = (await bus.append(subject, BODY, msg_id=new_id(), expect=Expect(seq, mine))).seq
            written += 1

    await asyncio.gather(*(write() for _ in range(writers)))
    return written / (time.perf_counter() - began)


async def measure(url: str, password: str, seconds: float) -> tuple[float, float]:
    """The rate one after the other, and with many writers."""
    bus = await connect(url, user=NATS_OPERATOR, password=password, name="bench")
    sequential = await appends_per_second(bus, 1, seconds)
    pipelined = await appends_per_second(bus, WRITERS, seconds)
    await bus.drain()
    return sequential, pipelined


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of the four measurements")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to measure")
    options = parser.parse_args()
    configure_logs(service="bench", level="warning", form="console")
    print(
        f"{platform.machine()}, {psutil.cpu_count()} CPUs, {psutil.virtual_memory().total / 2**30:.0f} GiB,"
        f" Python {platform.python_version()}, {_file_system(options.folder)}; {len(BODY)} bytes a message"
    )
    print(f"{'sync_interval':14} {'sequential':>12} {f'{WRITERS} writers':>14}")
    for sync_interval in SETTINGS:
        with nats_server(options.folder, sync_interval) as (url, password):
            sequential, pipelined = asyncio.run(measure(url, password, options.seconds))
        print(f"{sync_interval:14} {sequential:10.0f}/s {pipelined:12.0f}/s")


def _file_system(folder: Path) -> str:
    """Of the folder: the kind of the longest mount point above it."""
    above = [
        part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)
    ]
    return max(above, key=lambda part: len(part.mountpoint)).fstype if above else "file system unknown"


if __name__ == "__main__":
    main()
