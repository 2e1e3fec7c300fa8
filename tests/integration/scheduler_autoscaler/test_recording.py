"""Decisions that are noted come to the stream, on a real NATS server under the autoscaler's own permissions, and the api reads them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry

from hostler_api.decisions import DecisionReader
from hostler_autoscaler.recorder import DecisionRecorder
from hostler_autoscaler.records import record_of
from hostler_bus.job_log import JobEntry
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.port import FromSequence, SinceTime
from hostler_domain.job import Job
from tests.support.builders import NOW, at, created, fold
from tests.support.decisions import made
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer

pytestmark = pytest.mark.integration

PASSWORDS = {name: f"password-of-{name}" for name in ("operator", "api", "autoscaler")}


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("decisions"), PASSWORDS)
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def api(server: NatsServer) -> AsyncIterator[NatsBus]:
    bus = await connected(server, "api")
    yield bus
    await bus.drain()


async def connected(server: NatsServer, service: str) -> NatsBus:
    return await connect(
        server.url, user=service, password=PASSWORDS[service], name=f"{service}-1", declare=service == "api"
    )


def count(registry: CollectorRegistry, outcome: str) -> float:
    return registry.get_sample_value("hostler_autoscaler_records_total", {"outcome": outcome}) or 0


def entry(job: Job) -> JobEntry:
    return JobEntry(job, 1)


async def test_what_is_noted_can_be_read_page_by_page(server: NatsServer, api: NatsBus) -> None:
    bus = await connected(server, "autoscaler")
    registry = CollectorRegistry()
    recorder = DecisionRecorder(
        bus, source="/hostler/autoscaler/1", logger=structlog.get_logger(), registry=registry
    )
    job, other = fold(created()), fold(created(job_id="other"))
    writing = asyncio.create_task(recorder.run())
    for number in range(5):
        recorder.note(job, made(at(60 * number)), bounds=("held at 1",))
        recorder.note(job, made(at(60 * number + 2)))  # nothing new
        recorder.note(other, made(at(60 * number)))
    await eventually(lambda: count(registry, "written") == 10)
    reader = DecisionReader(api)
    back = SinceTime(NOW - timedelta(days=365))
    found, more = await reader.page(entry(job), back, 3)
    assert more
    rest, more = await reader.page(entry(job), FromSequence(found[-1][0] + 1), 3)
    assert not more
    records = [event.data for _, event in (*found, *rest)]
    assert records == [record_of(made(at(60 * number)), bounds=("held at 1",)) for number in range(5)]
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    await bus.drain()


async def test_without_nats_records_are_lost_and_counted_and_later_ones_are_written(
    server: NatsServer, api: NatsBus
) -> None:
    bus = await connected(server, "autoscaler")
    registry = CollectorRegistry()
    recorder = DecisionRecorder(
        bus, source="/hostler/autoscaler/1", logger=structlog.get_logger(), registry=registry
    )
    job = fold(created())
    server.stop()
    await eventually(lambda: not bus.connected)
    recorder.note(job, made(at(0)))
    await recorder.flush()
    assert (count(registry, "written"), count(registry, "lost")) == (0, 1)
    server.start()
    await eventually(lambda: bus.connected and api.connected)
    recorder.note(job, made(at(60)))
    await recorder.flush()
    assert (count(registry, "written"), count(registry, "lost")) == (1, 1)
    await bus.drain()
