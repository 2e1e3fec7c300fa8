"""An unreadable event as the last of a job: its writers are refused until the operator has taken it out, and then go on."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from hostler_bus.job_log import JobLog
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.projection import JobProjection
from hostler_contracts import codec, subjects
from hostler_kit.clock import SystemClock
from tests.support.builders import JOB_ID, created, ready, scheduled
from tests.support.nats_server import NatsServer

pytestmark = pytest.mark.integration


async def at_once() -> None:
    """No time for anything to come by itself."""


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[NatsBus]:
    bus = await connect(nats_server.url, user=nats_server.user, password=nats_server.password, name="test")
    yield bus
    await bus.drain()


async def test_a_job_can_be_written_to_again_when_the_poison_has_been_taken_out_of_the_log(
    bus: NatsBus, nats_server: NatsServer
) -> None:
    log = JobLog(bus, source="/hostler/test", clock=SystemClock())
    made = await log.append(None, created())
    placed = await log.append(made, scheduled())
    poison = await bus.append(subjects.job_event("default", JOB_ID, "job.scaled"), b"{", msg_id="poison")
    jobs = JobProjection()
    await jobs.resync(bus, at_once)
    assert jobs.get(JOB_ID) == placed
    with pytest.raises(codec.UndecodableEvent):
        await log.execute("default", JOB_ID, lambda _: (ready(),))

    # What docs/operations.md tells the operator to do: `nats stream rmm JOBS SEQUENCE`.
    operator = Client()
    await operator.connect(nats_server.url, user=nats_server.user, password=nats_server.password)
    assert await operator.jetstream().delete_msg(subjects.JOBS, poison.seq)
    await operator.close()

    entry = await log.execute("default", JOB_ID, lambda _: (ready(),))
    assert entry is not None
    assert entry.seq > poison.seq
    assert jobs.apply(entry)
    history = [codec.name_of(event) async for _, event in log.history("default", JOB_ID)]
    assert history == ["job.created", "replica.scheduled", "replica.ready"]


async def test_an_event_of_a_newer_kind_is_no_poison_and_is_written_behind(bus: NatsBus) -> None:
    log = JobLog(bus, source="/hostler/test", clock=SystemClock())
    made = await log.append(None, created())
    last = await bus.last(subjects.JOBS, subjects.job_events("default", JOB_ID))
    assert last is not None
    newer = last.data.replace(b"job.created.v1", b"job.blessed.v3")
    blessed = await bus.append(subjects.job_event("default", JOB_ID, "job.blessed"), newer, msg_id="newer")
    entry = await log.load("default", JOB_ID)
    assert entry is not None
    assert (entry.job, entry.seq) == (made.job, blessed.seq)
    assert (await log.append(entry, scheduled())).seq > blessed.seq
