"""Usage on a real server that is killed and frozen, written by processes that are killed: everybody is told in time, and the sum is right."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry

from hostler_api.usage import UsageTotals
from hostler_bus.nats_bus import NatsBus, connect
from hostler_contracts import subjects
from hostler_contracts.usage import decode_usage
from hostler_kit.clock import SystemClock
from hostler_kit.ids import new_id
from hostler_router.metrics import RouterMetrics
from hostler_router.settings import UsageCommit
from hostler_router.usage_batches import Batch
from hostler_router.usage_reporting import UsageReporter
from hostler_router.usage_spool import UsageSpool
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer
from tests.support.usage import record

pytestmark = pytest.mark.integration

BOUND_SECONDS = 0.25
SLACK_SECONDS = 1.0
"""For a machine that is busy with something else: the bound is the event loop's, not the scheduler's."""


async def connected(server: NatsServer) -> NatsBus:
    return await connect(server.url, user=server.user, password=server.password, name="test")


@pytest.fixture
async def bus(own_nats_server: NatsServer) -> AsyncIterator[NatsBus]:
    bus = await connected(own_nats_server)
    yield bus
    await bus.drain()


def reporter_on(bus: NatsBus, folder: Path, writer: str = "w") -> UsageReporter:
    logger = structlog.get_logger()
    return UsageReporter(
        bus,
        name="router-1",
        period_seconds=0.05,
        clock=SystemClock(),
        metrics=RouterMetrics(CollectorRegistry()),
        logger=logger,
        writer=writer,
        spool=UsageSpool(folder, writer=writer, bytes_max=2**26, now=time.time, logger=logger),
    )


class Load:
    """Requests that end all the time; the witness of who was told, and how long each was held."""

    def __init__(self, reporter: UsageReporter) -> None:
        self.told: Counter[str] = Counter()
        self.begun = 0
        self.held_seconds: list[float] = []
        self._reporter = reporter
        self._going = True

    def start(self, at_once: int = 48) -> None:
        for number in range(at_once):
            self._begin(f"job-{number % 3}")

    async def stop(self) -> None:
        self._going = False
        await eventually(lambda: self.told.total() == self.begun)

    def _begin(self, job: str) -> None:
        loop = asyncio.get_running_loop()
        usage_id, begun = new_id(), loop.time()
        self.begun += 1

        def told() -> None:
            self.told[usage_id] += 1
            self.held_seconds.append(loop.time() - begun)
            if self._going:
                loop.call_later(0.002, self._begin, job)

        self._reporter.committer.commit("p", job, record(usage_id=usage_id), told)


async def in_stream(bus: NatsBus) -> Counter[str]:
    """How often each request stands in the stream."""
    return Counter(
        [
            request.usage_id
            async for message in bus.history(subjects.USAGE, subjects.USAGE_SUBJECTS)
            for request in decode_usage(message.data).data.requests
        ]
    )


async def counted(bus: NatsBus) -> int:
    """How many requests the api counts."""
    totals = UsageTotals()
    reading = asyncio.create_task(totals.run(bus))
    await eventually(lambda: totals.caught_up)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    return sum(each.requests for hours in totals._hours.values() for each in hours.values())


async def test_a_server_that_is_killed_again_and_again_costs_no_request_its_usage_and_nobody_waits_for_it(
    own_nats_server: NatsServer, bus: NatsBus, tmp_path: Path
) -> None:
    reporter = reporter_on(bus, tmp_path / "spool")
    load, running = Load(reporter), asyncio.create_task(reporter.run())
    load.start()
    for _ in range(4):
        before = load.told.total()
        await eventually(lambda before=before: load.told.total() > before + 200)
        own_nats_server.kill()
        before = load.told.total()
        await eventually(lambda before=before: load.told.total() > before + 200)
        own_nats_server.start()
        await eventually(lambda: bus.connected)
    await load.stop()
    await eventually(lambda: reporter.backlog.empty, timeout_seconds=30)
    running.cancel()
    await reporter.publish()
    assert max(load.held_seconds) < BOUND_SECONDS + SLACK_SECONDS
    assert set(load.told.values()) == {1}
    assert await in_stream(bus) == load.told
    assert await counted(bus) == len(load.told)
    assert reporter.figures.lost == 0
    assert reporter.figures.late > 0, "nothing was ever kept: the test has tested nothing"
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_frozen_server_holds_answers_back_for_the_bound_and_what_it_stored_late_is_there_once(
    own_nats_server: NatsServer, bus: NatsBus, tmp_path: Path
) -> None:
    reporter = reporter_on(bus, tmp_path / "spool")
    load, running = Load(reporter), asyncio.create_task(reporter.run())
    load.start()
    await eventually(lambda: load.told.total() > 200)
    own_nats_server.freeze()
    before = load.told.total()
    await eventually(lambda: load.told.total() > before + 1000)
    await eventually(lambda: reporter.figures.late > 500)
    own_nats_server.thaw()
    await load.stop()
    await eventually(lambda: reporter.backlog.empty, timeout_seconds=30)
    running.cancel()
    await reporter.publish()
    assert max(load.held_seconds) < BOUND_SECONDS + SLACK_SECONDS
    assert await in_stream(bus) == load.told
    assert await counted(bus) == len(load.told)


async def test_a_batch_that_comes_again_when_the_server_has_forgotten_its_id_counts_once(
    bus: NatsBus, tmp_path: Path
) -> None:
    reporter = reporter_on(bus, tmp_path / "spool")
    place = reporter.backlog.keep([Batch("hostler.usage.p.x", "first", 0, b"{}")])
    reporter._sender.expect_nothing()  # and something waits, so all is kept
    ended = asyncio.Event()
    reporter.committer.commit("p", "job-1", record(usage_id="u1"), ended.set)
    await ended.wait()
    reporter.backlog.settle(place, "first")
    ((_, batch),) = reporter.backlog.waiting()
    for msg_id in ("another-id", "and-another"):  # as after two minutes, when the stream takes it for new
        await bus.append(batch.subject, batch.data, msg_id=msg_id)
    assert await in_stream(bus) == {"u1": 2}
    assert await counted(bus) == 1
    await reporter.close()


async def lines(process: asyncio.subprocess.Process, told: set[str]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if line.endswith(b"\n"):
            told.add(line.decode().strip())


@pytest.mark.parametrize("commit", UsageCommit)
@pytest.mark.parametrize("server", ["lives", "is dead", "is frozen"])
async def test_a_request_whose_end_was_told_is_in_the_stream_or_on_the_disk_when_its_router_is_killed(
    own_nats_server: NatsServer, tmp_path: Path, server: str, commit: UsageCommit
) -> None:
    folder, told = tmp_path / "spool", set[str]()
    program = Path(__file__).with_name("usage_writer.py")
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([root, *(each for each in sys.path if each)])
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        own_nats_server.url,
        str(folder),
        "router-1",
        commit.value,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    reading = asyncio.create_task(lines(writer, told))
    try:
        await eventually(lambda: len(told) > 300, timeout_seconds=60)
        if server == "is dead":
            own_nats_server.kill()
        elif server == "is frozen":
            own_nats_server.freeze()
        before = len(told)
        await eventually(lambda: len(told) > before + 300, timeout_seconds=60)
    finally:
        writer.kill()
        await writer.wait()
    await reading
    if server == "is dead":
        own_nats_server.start()
    elif server == "is frozen":
        own_nats_server.thaw()
    bus = await connected(own_nats_server)
    if server != "lives":
        assert list(folder.iterdir()), "nothing was on the disk: the test has tested nothing"
    reporter = reporter_on(bus, folder, "the next")
    running = asyncio.create_task(reporter.run())
    await eventually(lambda: list(folder.iterdir()) == [], timeout_seconds=30)
    running.cancel()
    found = await in_stream(bus)
    assert told <= found.keys()
    assert set(found.values()) == {1}
    assert await counted(bus) == len(found)
    await bus.drain()
