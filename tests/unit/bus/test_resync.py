"""Projections that missed something heal on the timer, whatever it was, and say so."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from hostler_bus.errors import BusUnavailable
from hostler_bus.job_log import JobLog
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_follow import MemoryFollower
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import Bus, CaughtUp, Message, Start
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_bus.resync import GRACE_SECONDS, JITTER, ResyncMetrics, keep_in_step, pause_seconds
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey
from tests.support.builders import JOB_ID, NOW, created, ready, scheduled
from tests.support.manual_clock import ManualClock, settle

PERIOD = 600.0
LONGEST = PERIOD * (1 + JITTER) + 2 * GRACE_SECONDS
"""After this the timer has gone off and everything is mended."""


class Gapped:
    """A follow that leaves out what `lost` says of what is new."""

    def __init__(self, inner: MemoryFollower, lost: Callable[[Message], bool]) -> None:
        self._inner = inner
        self._lost = lost

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | CaughtUp:
        while True:
            item = await anext(self._inner)
            if isinstance(item, CaughtUp) or not self._lost(item):
                return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._inner.close()


class LossyBus(MemoryBus):
    """A connection whose follows and watches lose what comes while `losing` is set; what was stored before is listed in full."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.losing = False
        self.listing = True

    def follow(self, stream: str, subjects: str, *, start: Start) -> Gapped:  # type: ignore[override]  # alike but in name
        if self.losing and not self.listing:
            raise BusUnavailable("nothing can be listed either")
        began = self._server.stream(stream).last_seq
        inner = super().follow(stream, subjects, start=start)
        return Gapped(inner, lambda message: self.losing and message.seq > began)


class Site:
    """Two projections of one lossy connection, and the timer."""

    def __init__(self, clock: ManualClock) -> None:
        server = MemoryServer(clock)
        self.clock = clock
        self.bus = LossyBus(server)
        self.other: Bus = MemoryBus(server)
        self.log = JobLog(self.other, source="/hostler/test", clock=clock)
        self.jobs = JobProjection()
        self.keys: CatalogueProjection[ApiKey] = CatalogueProjection(
            subjects.BUCKET_API_KEYS, catalogue.API_KEYS
        )
        self.registry = CollectorRegistry()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        timer = keep_in_step(
            self.bus,
            {"jobs": self.jobs, "keys": self.keys},
            period_seconds=PERIOD,
            clock=self.clock,
            rng=random.Random(1),
            metrics=ResyncMetrics(self.registry),
            logger=structlog.get_logger(),
        )
        self.tasks = [
            asyncio.create_task(each) for each in (self.jobs.run(self.bus), self.keys.run(self.bus), timer)
        ]
        await settle()

    def count(self, figure: str, projection: str) -> float | None:
        return self.registry.get_sample_value(
            f"hostler_projection_{figure}_total", {"projection": projection}
        )

    async def put_key(self, name: str, *, project: str = "p") -> None:
        record = ApiKey(
            key_id=name,
            name=name,
            project=project,
            key_hash=name,
            prefix="hsk",
            scopes=("inference",),
            created_at=NOW,
        )
        await self.other.bucket(subjects.BUCKET_API_KEYS).put(name, catalogue.API_KEYS.encode(record))

    async def drop_key(self, name: str) -> None:
        await self.other.bucket(subjects.BUCKET_API_KEYS).delete(name)


@pytest.fixture
async def site(manual_clock: ManualClock) -> AsyncIterator[Site]:
    site = Site(manual_clock)
    yield site
    for task in site.tasks:
        task.cancel()
    await asyncio.gather(*site.tasks, return_exceptions=True)


async def test_a_job_event_that_was_lost_is_there_after_the_resync_and_counted_once(site: Site) -> None:
    entry = await site.log.append(None, created())
    await site.start()
    site.bus.losing = True
    entry = await site.log.append(entry, scheduled())
    entry = await site.log.append(entry, ready())
    await settle()
    known = site.jobs.get(JOB_ID)
    assert known is not None
    assert known.seq < entry.seq
    woken: list[int] = []
    site.jobs.on_change(lambda changed: woken.append(changed.seq))
    await site.clock.advance(LONGEST)
    assert site.jobs.get(JOB_ID) == entry
    assert (woken, site.jobs.seq) == ([entry.seq], entry.seq)
    await site.clock.advance(LONGEST)
    assert site.count("repaired", "jobs") == 1
    assert (site.count("resyncs", "jobs") or 0) >= 2


async def test_keys_that_a_broken_watch_missed_come_change_and_go(site: Site) -> None:
    for name in ("stays", "changes", "goes"):
        await site.put_key(name)
    await site.start()
    site.bus.losing = True
    await site.put_key("comes")
    await site.put_key("changes", project="other")
    await site.drop_key("goes")
    await settle()
    assert sorted(site.keys.records) == ["changes", "goes", "stays"]
    told: list[str] = []
    site.keys.on_change(told.append)
    await site.clock.advance(LONGEST)
    assert sorted(site.keys.records) == ["changes", "comes", "stays"]
    assert site.keys.records["changes"].project == "other"
    assert sorted(told) == ["changes", "comes", "goes"]
    assert site.count("repaired", "keys") == 3


async def test_what_missed_nothing_is_left_alone(site: Site) -> None:
    entry = await site.log.append(None, created())
    await site.start()
    await site.log.append(entry, scheduled())
    await site.put_key("one")
    await settle()
    told: list[object] = []
    site.jobs.on_change(told.append)
    site.keys.on_change(told.append)
    await site.clock.advance(3 * PERIOD)
    assert told == []
    assert (site.count("repaired", "jobs"), site.count("repaired", "keys")) == (0, 0)


async def test_what_is_only_late_is_not_counted_as_missed(site: Site) -> None:
    entry = await site.log.append(None, created())
    await site.start()
    site.bus.losing = True
    entry = await site.log.append(entry, scheduled())
    await site.put_key("one")

    async def comes() -> None:
        # While the resync waits, both arrive by the way that they should.
        site.jobs.apply(entry)
        stored = await site.other.bucket(subjects.BUCKET_API_KEYS).get("one")
        assert stored is not None
        site.keys._put(stored)

    assert await site.jobs.resync(site.bus, comes) == 0
    site.keys._revisions.clear()
    assert await site.keys.resync(site.bus, comes) == 0
    assert sorted(site.keys.records) == ["one"]


async def test_a_list_that_cannot_be_read_is_read_next_time(site: Site) -> None:
    entry = await site.log.append(None, created())
    await site.start()
    site.bus.losing, site.bus.listing = True, False
    entry = await site.log.append(entry, scheduled())
    with capture_logs() as told:
        await site.clock.advance(LONGEST)
    assert "projection.resync_failed" in {line["event"] for line in told}
    site.bus.listing = True
    await site.clock.advance(LONGEST)
    assert site.jobs.get(JOB_ID) == entry


async def test_an_event_that_nobody_can_read_is_looked_at_once(site: Site) -> None:
    entry = await site.log.append(None, created())
    await site.start()
    site.bus.losing = True
    project = entry.job.spec.project
    await site.other.append(subjects.job_event(project, JOB_ID, "replica.ready"), b"{", msg_id="poison")
    with capture_logs() as told:
        await site.clock.advance(4 * PERIOD)
    assert [line["event"] for line in told].count("event.undecodable") == 1
    assert site.jobs.get(JOB_ID) == entry


def test_pauses_lie_around_the_period_and_differ() -> None:
    rng = random.Random(7)
    pauses = [pause_seconds(PERIOD, rng) for _ in range(200)]
    assert PERIOD * (1 - JITTER) <= min(pauses) < PERIOD < max(pauses) <= PERIOD * (1 + JITTER)
