"""Connecting to a real server, and making it look as declared."""

import asyncio
import time

import pytest

from hostler_bus.errors import BusRefused, BusUnavailable, StreamFull
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.topology import TOPOLOGY, Storage, StreamSpec, Topology
from hostler_contracts import subjects
from tests.support.nats_server import MUTE_USER, NatsServer

pytestmark = pytest.mark.integration

EVENT = subjects.job_event("p", "job1", "job.created")


async def connected(server: NatsServer, topology: Topology = TOPOLOGY) -> NatsBus:
    return await connect(
        server.url, user=server.user, password=server.password, name="test", topology=topology
    )


async def test_a_wrong_password_is_told_at_once_without_showing_it(nats_server: NatsServer) -> None:
    begun = time.monotonic()
    with pytest.raises(BusRefused, match="refuses the credentials of hostler") as refusal:
        await connect(
            nats_server.url, user="hostler", password="not-this", name="test", connect_timeout_seconds=30
        )
    assert time.monotonic() - begun < 5
    assert "not-this" not in str(refusal.value)


async def test_no_server_is_told_when_the_time_is_up_without_showing_credentials() -> None:
    begun = time.monotonic()
    with pytest.raises(BusUnavailable, match=r"no NATS at 127\.0\.0\.1:1 within 0\.5 s") as missing:
        await connect("nats://user:secret@127.0.0.1:1", name="test", connect_timeout_seconds=0.5)
    assert time.monotonic() - begun < 3
    assert "secret" not in str(missing.value)


async def test_a_server_that_comes_up_late_is_waited_for(own_nats_server: NatsServer) -> None:
    own_nats_server.kill()
    connecting = asyncio.create_task(connected(own_nats_server))
    await asyncio.sleep(0)
    own_nats_server.start()
    bus = await connecting
    assert bus.connected
    await bus.drain()


async def test_five_at_once_declare_the_same_and_again_is_quick(nats_server: NatsServer) -> None:
    buses = await asyncio.gather(*(connected(nats_server) for _ in range(5)))
    client = await buses[0].link.client(1)
    names = {info.config.name for info in await client.jetstream().streams_info()}
    assert names == {spec.name for spec in TOPOLOGY.all_streams}
    begun = time.monotonic()
    buses.append(await connected(nats_server))
    assert time.monotonic() - begun < 2
    await asyncio.gather(*(bus.drain() for bus in buses))


async def test_declaring_again_changes_what_differs_and_keeps_what_is_stored(nats_server: NatsServer) -> None:
    name, patterns = subjects.JOBS, (subjects.JOBS_SUBJECTS,)
    before = await connected(nats_server, Topology((StreamSpec(name, patterns, messages_max=5),), ()))
    await before.append(EVENT, b"x", msg_id="1")
    after = await connected(nats_server, Topology((StreamSpec(name, patterns, messages_max=9),), ()))
    info = await (await after.link.client(1)).jetstream().stream_info(name)
    assert info.config.max_msgs == 9
    assert [message.data async for message in after.history(name, subjects.JOBS_SUBJECTS)] == [b"x"]
    await asyncio.gather(before.drain(), after.drain())


async def test_a_stream_that_cannot_be_changed_as_declared_is_refused(nats_server: NatsServer) -> None:
    name, patterns = subjects.JOBS, (subjects.JOBS_SUBJECTS,)
    bus = await connected(nats_server, Topology((StreamSpec(name, patterns),), ()))
    with pytest.raises(BusRefused):
        await connected(nats_server, Topology((StreamSpec(name, patterns, storage=Storage.MEMORY),), ()))
    await bus.drain()


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(StreamSpec(subjects.JOBS, (subjects.JOBS_SUBJECTS,), messages_max=1), id="messages"),
        pytest.param(StreamSpec(subjects.JOBS, (subjects.JOBS_SUBJECTS,), bytes_max=400), id="bytes"),
    ],
)
async def test_a_full_stream_refuses_and_keeps_what_it_has(nats_server: NatsServer, spec: StreamSpec) -> None:
    bus = await connected(nats_server, Topology((spec,), ()))
    await bus.append(EVENT, b"x" * 100, msg_id="1")
    begun = time.monotonic()
    with pytest.raises(StreamFull):
        await bus.append(EVENT, b"y" * 300, msg_id="2")
    assert time.monotonic() - begun < 2
    assert len([message async for message in bus.history(subjects.JOBS, subjects.JOBS_SUBJECTS)]) == 1
    await bus.drain()


async def waiting(nats_server: NatsServer, seconds: float, topology: Topology = TOPOLOGY) -> NatsBus:
    return await connect(
        nats_server.url,
        user=nats_server.user,
        password=nats_server.password,
        name="test",
        connect_timeout_seconds=seconds,
        declare=False,
        topology=topology,
    )


async def test_a_stream_in_memory_that_is_missing_is_reported_as_unavailable(nats_server: NatsServer) -> None:
    spec = StreamSpec(subjects.METRICS, (subjects.METRICS_SUBJECTS,), storage=Storage.MEMORY)
    bus = await waiting(nats_server, 5, Topology((spec,), ()))
    with pytest.raises(BusUnavailable):
        await bus.append(subjects.metrics("p", "j"), b"", msg_id="1", deadline_seconds=0.3)
    await bus.drain()


async def test_who_does_not_declare_waits_for_who_does(nats_server: NatsServer) -> None:
    early = asyncio.create_task(waiting(nats_server, 10))
    with pytest.raises(BusUnavailable):
        await waiting(nats_server, 0.3)
    assert not early.done()
    declaring = await connected(nats_server, TOPOLOGY)
    bus = await early
    assert (await bus.append(EVENT, b"x", msg_id="1")).seq == 1
    await asyncio.gather(declaring.drain(), bus.drain())


async def test_a_denied_permission_is_silence_and_the_error_says_what_the_server_said(
    nats_server: NatsServer,
) -> None:
    bus = await connect(nats_server.url, user=MUTE_USER, password=nats_server.password, name="test")
    with pytest.raises(BusUnavailable, match=r"(?i)permissions violation"):
        await bus.append(EVENT, b"", msg_id="1", deadline_seconds=0.5)
    assert bus.link.error_count > 0
    await bus.drain()


async def test_whoever_serves_can_be_asked_from_the_moment_that_serve_returns(
    nats_server: NatsServer,
) -> None:
    async def echo(data: bytes) -> bytes:
        return data

    asking, serving = await connected(nats_server), await connected(nats_server)
    for number in range(300):
        await serving.serve(f"hostler.rpc.test.{number}", echo)
        assert await asking.request(f"hostler.rpc.test.{number}", b"x", timeout_seconds=5) == b"x"
    await asyncio.gather(asking.drain(), serving.drain())
