"""A request that begins to wait for a job at zero is told of at once; everything else once a period."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry

from hostler_bus.errors import BusUnavailable
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import Appended, Expect
from hostler_contracts import subjects
from hostler_contracts.load import LoadWindow, decode_window
from hostler_domain.changes import JobDeleteRequested
from hostler_domain.evolve import evolve
from hostler_router.metrics import RouterMetrics
from hostler_router.reporting import WindowReporter
from hostler_router.table import RouteTable
from hostler_router.windows import Present, WindowRecorder
from tests.support.builders import at, created, fold
from tests.support.manual_clock import START, ManualClock, settle

PERIOD_SECONDS = 5.0
SLEEPING, OTHER = (
    fold(created(job_id="job-1", minimum=0, initial=0)),
    fold(created(job_id="job-2", name="other")),
)


class GatedBus(MemoryBus):
    """A bus that a test can take away."""

    away = False

    async def append(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        expect: Expect | None = None,
        deadline_seconds: float = 30,
    ) -> Appended:
        if self.away:
            raise BusUnavailable("away")
        return await super().append(subject, data, msg_id=msg_id, expect=expect)


class Reporting:
    """A reporter by a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = GatedBus(MemoryServer(self.clock))
        self.registry = CollectorRegistry()
        self.table = RouteTable([SLEEPING, OTHER])
        self.recorder = WindowRecorder(queues=True)
        self.reporter = WindowReporter(
            self.bus,
            self.table,
            self.recorder,
            Present,
            name="router-1",
            period_seconds=PERIOD_SECONDS,
            clock=self.clock,
            metrics=RouterMetrics(self.registry),
            logger=structlog.get_logger(),
        )

    def request_waits(self, job_id: str = "job-1") -> None:
        self.recorder.arrived(job_id)
        self.recorder.waits(job_id)
        self.reporter.hurry(job_id)

    async def windows(self) -> list[LoadWindow]:
        await settle()
        return [
            decode_window(message.data).data
            async for message in self.bus.history(subjects.METRICS, subjects.METRICS_SUBJECTS)
        ]


@pytest.fixture
async def reporting() -> AsyncIterator[Reporting]:
    made = Reporting()
    work = asyncio.create_task(made.reporter.run())
    yield made
    assert not work.done()
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def test_its_window_goes_out_at_once_and_the_next_one_begins_there(reporting: Reporting) -> None:
    await reporting.clock.advance(2)
    assert await reporting.windows() == []

    reporting.request_waits()
    (early,) = await reporting.windows()
    assert (early.job_id, early.started_at, early.seconds) == ("job-1", START, 2)
    assert (early.arrivals, early.in_flight, early.queued) == (1, 0, 1)

    await reporting.clock.advance(3)
    _, late, other = sorted(await reporting.windows(), key=lambda each: (each.job_id, each.started_at))
    assert (late.started_at, late.seconds) == (START + timedelta(seconds=2), 3)
    assert (late.arrivals, late.queued) == (0, 1)
    assert (other.job_id, other.started_at, other.seconds) == ("job-2", START, PERIOD_SECONDS)


async def test_a_thousand_requests_that_begin_to_wait_make_one_early_window_a_period(
    reporting: Reporting,
) -> None:
    await reporting.clock.advance(1)
    for _ in range(500):
        reporting.request_waits()
    assert [window.arrivals for window in await reporting.windows()] == [500]
    for _ in range(500):
        reporting.request_waits()
    assert len(await reporting.windows()) == 1

    await reporting.clock.advance(4)
    whole = [window for window in await reporting.windows() if window.job_id == "job-1"]
    assert [window.arrivals for window in whole] == [500, 500]

    reporting.request_waits()
    assert (await reporting.windows())[-1].arrivals == 1


async def test_a_job_that_went_meanwhile_has_none(reporting: Reporting) -> None:
    reporting.request_waits()
    reporting.table.apply(evolve(SLEEPING, JobDeleteRequested(at(1), "k")))
    assert await reporting.windows() == []


async def test_without_the_bus_the_early_window_is_lost_and_the_next_period_tells(
    reporting: Reporting,
) -> None:
    reporting.bus.away = True
    reporting.request_waits()
    assert await reporting.windows() == []
    assert reporting.registry.get_sample_value("hostler_router_windows_lost_total") == 1

    reporting.bus.away = False
    await reporting.clock.advance(PERIOD_SECONDS)
    assert [each.queued for each in await reporting.windows() if each.job_id == "job-1"] == [1]
