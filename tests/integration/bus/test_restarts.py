"""What the bus keeps through a server that is killed, frozen, full or not there: only a real one can show it."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest
import structlog

from hostler_bus import nats_appends
from hostler_bus.consume import consume
from hostler_bus.errors import BusUnavailable, SequenceConflict
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.port import (
    CaughtUp,
    ConsumerSpec,
    Deleted,
    Entry,
    Expect,
    FromSequence,
    LastPerSubject,
    Message,
    OnlyNew,
)
from hostler_contracts import subjects
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer
from tests.support.tcp_proxy import tcp_proxy

pytestmark = pytest.mark.integration

EVENT = subjects.job_event("p", "job1", "replica.ready")
ANY_OF_JOB = subjects.job_events("p", "job1")


async def connected(server: NatsServer, url: str | None = None) -> NatsBus:
    return await connect(url or server.url, user=server.user, password=server.password, name="test")


@pytest.fixture
async def bus(own_nats_server: NatsServer) -> AsyncIterator[NatsBus]:
    made = await connected(own_nats_server)
    yield made
    await made.drain()


def at_least(got: list[tuple[int, bytes]], count: int) -> bool:
    return len(got) >= count


@pytest.mark.parametrize(
    "start", [LastPerSubject(), FromSequence(1), OnlyNew()], ids=lambda start: type(start).__name__
)
async def test_a_follower_and_an_appender_live_through_kills_without_gap_or_repeat(
    bus: NatsBus, own_nats_server: NatsServer, start: LastPerSubject | FromSequence | OnlyNew
) -> None:
    count = 150
    got: list[tuple[int, bytes]] = []
    begun = asyncio.Event()

    async def follow() -> None:
        async with bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=start) as items:
            async for item in items:
                if isinstance(item, CaughtUp):
                    begun.set()
                else:
                    got.append((item.seq, item.data))

    async def append() -> list[int]:
        seqs: list[int] = []
        for number in range(count):
            expect = Expect(seqs[-1] if seqs else 0, ANY_OF_JOB)
            appended = await bus.append(
                EVENT, str(number).encode(), msg_id=str(number), expect=expect, deadline_seconds=30
            )
            seqs.append(appended.seq)
        return seqs

    following = asyncio.create_task(follow())
    await begun.wait()
    appending = asyncio.create_task(append())
    for wanted in (30, 60, 90):
        await eventually(partial(at_least, got, wanted), timeout_seconds=30)
        own_nats_server.kill()
        own_nats_server.start()
    seqs = await appending
    await eventually(lambda: len(got) >= count, timeout_seconds=30)
    following.cancel()
    assert seqs == sorted(set(seqs))
    assert got == [(seq, str(number).encode()) for number, seq in enumerate(seqs)]


async def test_a_durable_consumer_works_off_everything_through_kills(
    bus: NatsBus, own_nats_server: NatsServer
) -> None:
    consumer = ConsumerSpec("worker", subjects.JOBS, subjects.JOBS_SUBJECTS, ack_wait_seconds=1.0)
    count = 60
    for number in range(count):
        await bus.append(EVENT, str(number).encode(), msg_id=str(number))
    done: list[int] = []

    async def work(message: Message) -> None:
        done.append(int(message.data))
        if len(done) in {15, 35}:
            own_nats_server.kill()
            own_nats_server.start()

    consuming = asyncio.create_task(consume(bus, consumer, work, structlog.get_logger()))
    await eventually(lambda: set(done) == set(range(count)), timeout_seconds=30)
    # A killed server forgets the answers of its last moments, so some came twice; in the end none is left.
    js = (await bus.link.client(5)).jetstream()

    async def left() -> int:
        info = await js.consumer_info(subjects.JOBS, consumer.name)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async with asyncio.timeout(20):
        while await left():  # noqa: ASYNC110  # the server tells nobody when it happens
            await asyncio.sleep(0.05)
    assert [message async for message in bus.history(subjects.DEAD_LETTER_ADVISORIES, ">")] == []
    await bus.drain()
    await asyncio.wait_for(consuming, 5)


async def test_an_append_to_a_server_that_is_away_lands_once_when_it_is_back(
    bus: NatsBus, own_nats_server: NatsServer
) -> None:
    own_nats_server.kill()
    appending = asyncio.create_task(
        bus.append(EVENT, b"x", msg_id="1", expect=Expect(0, ANY_OF_JOB), deadline_seconds=30)
    )
    await eventually(lambda: not bus.connected)
    own_nats_server.start()
    appended = await appending
    assert [message.seq async for message in bus.history(subjects.JOBS, ANY_OF_JOB)] == [appended.seq]


async def test_an_append_that_was_stored_but_not_answered_is_a_success_when_retried(
    bus: NatsBus, own_nats_server: NatsServer
) -> None:
    first = await bus.append(EVENT, b"0", msg_id="0")
    client = await bus.link.client(1)
    sent = client.stats["out_msgs"]
    own_nats_server.freeze()
    # The frozen server has every try in its socket, and stores the first of them when it thaws.
    appending = asyncio.create_task(
        bus.append(EVENT, b"x", msg_id="1", expect=Expect(first.seq, ANY_OF_JOB), deadline_seconds=20)
    )
    await eventually(lambda: client.stats["out_msgs"] >= sent + 2)
    own_nats_server.thaw()
    appended = await appending
    assert appended.seq == first.seq + 1
    kept = [message.data async for message in bus.history(subjects.JOBS, ANY_OF_JOB)]
    assert kept == [b"0", b"x"]


async def test_an_append_without_any_answer_is_reported_as_unknown(
    bus: NatsBus, own_nats_server: NatsServer
) -> None:
    own_nats_server.kill()
    begun = time.monotonic()
    with pytest.raises(BusUnavailable):
        await bus.append(EVENT, b"x", msg_id="1", deadline_seconds=0.5)
    assert time.monotonic() - begun < 2


async def test_a_real_conflict_stays_one_after_a_restart(bus: NatsBus, own_nats_server: NatsServer) -> None:
    await bus.append(EVENT, b"theirs", msg_id="theirs")
    own_nats_server.kill()
    own_nats_server.start()
    with pytest.raises(SequenceConflict):
        await bus.append(EVENT, b"ours", msg_id="ours", expect=Expect(0, ANY_OF_JOB), deadline_seconds=20)


async def test_a_watcher_that_was_cut_off_ends_up_at_the_bucket_s_state(own_nats_server: NatsServer) -> None:
    """Also where no trace of a deletion is left for it to read."""
    other = await connected(own_nats_server)
    bucket = other.bucket(subjects.BUCKET_ROUTERS)
    for key in ("stays", "changes", "vanishes"):
        await bucket.put(key, b"1")
    seen: list[Entry | Deleted | CaughtUp] = []

    async def watch(bus: NatsBus) -> None:
        async with bus.bucket(subjects.BUCKET_ROUTERS).watch() as items:
            async for item in items:
                seen.append(item)  # noqa: PERF401  # `extend` gives what it has only at the end, which never comes

    async with tcp_proxy(own_nats_server.port) as proxy:
        bus = await connected(own_nats_server, proxy.url)
        watching = asyncio.create_task(watch(bus))
        await eventually(lambda: CaughtUp() in seen)
        before = len(seen)
        proxy.cut()
        await eventually(lambda: not bus.connected)
        await bucket.put("changes", b"2")
        await bucket.put("new", b"1")
        js = (await other.link.client(1)).jetstream()
        await js.purge_stream("KV_routers", subject="$KV.routers.vanishes")
        proxy.mend()
        await eventually(lambda: len(seen) >= before + 3)
        await bucket.put("last", b"1")
        await eventually(lambda: len(seen) >= before + 4)
        watching.cancel()
        await bus.drain()
    await other.drain()
    assert [short(item) for item in seen[before:]] == ["changes=2", "new=1", "vanishes gone", "last=1"]


def short(item: Entry | Deleted | CaughtUp) -> str:
    match item:
        case Entry(key=key, value=value):
            return f"{key}={value.decode()}"
        case Deleted(key=key):
            return f"{key} gone"
        case CaughtUp():
            return "|"


async def test_a_watcher_lives_through_a_kill(bus: NatsBus, own_nats_server: NatsServer) -> None:
    bucket = bus.bucket(subjects.BUCKET_NODES)
    await bucket.put("n1", b"1")
    async with bucket.watch() as items, asyncio.timeout(20):
        assert [short(await anext(items)) for _ in range(2)] == ["n1=1", "|"]
        own_nats_server.kill()
        own_nats_server.start()
        await bucket.put("n2", b"1", deadline_seconds=20)
        await bucket.delete("n1", deadline_seconds=20)
        assert sorted([short(await anext(items)) for _ in range(2)]) == ["n1 gone", "n2=1"]


async def test_a_stream_in_memory_is_made_anew_and_followed_from_its_beginning(
    bus: NatsBus, own_nats_server: NatsServer
) -> None:
    subject = subjects.metrics("p", "job1")
    got: list[bytes] = []

    async def follow() -> None:
        async with bus.follow(subjects.METRICS, subjects.METRICS_SUBJECTS, start=OnlyNew()) as items:
            async for item in items:
                got.append(b"|" if isinstance(item, CaughtUp) else item.data)  # noqa: PERF401  # as above

    following = asyncio.create_task(follow())
    await eventually(lambda: got == [b"|"])
    for number in range(5):
        await bus.publish(subject, str(number).encode())
    await eventually(lambda: len(got) == 6)
    own_nats_server.kill()
    await eventually(lambda: not bus.connected)
    own_nats_server.start()
    await eventually(lambda: bus.connected)
    await bus.publish(subject, b"after")
    await eventually(lambda: len(got) == 7)
    following.cancel()
    assert got == [b"|", b"0", b"1", b"2", b"3", b"4", b"after"]


async def test_what_was_served_is_served_again_after_a_restart(
    bus: NatsBus, own_nats_server: NatsServer
) -> None:
    async def echo(data: bytes) -> bytes:
        return data

    await bus.serve("hostler.rpc.test", echo)
    own_nats_server.kill()
    await eventually(lambda: not bus.connected)
    with pytest.raises(BusUnavailable):
        await bus.request("hostler.rpc.test", b"x", timeout_seconds=1)
    own_nats_server.start()
    await eventually(lambda: bus.connected)
    assert await bus.request("hostler.rpc.test", b"x", timeout_seconds=5) == b"x"


async def test_drain_is_quick_while_the_server_is_away_or_frozen(own_nats_server: NatsServer) -> None:
    frozen, away = await connected(own_nats_server), await connected(own_nats_server)
    own_nats_server.freeze()
    begun = time.monotonic()
    await frozen.drain()
    own_nats_server.kill()
    await eventually(lambda: not away.connected)
    await away.drain()
    assert time.monotonic() - begun < 10


async def test_drain_is_quick_while_a_consumer_waits_for_its_next_message(
    own_nats_server: NatsServer,
) -> None:
    bus = await connected(own_nats_server)
    consumer = ConsumerSpec("worker", subjects.JOBS, subjects.JOBS_SUBJECTS, ack_wait_seconds=30)
    done: list[bytes] = []

    async def work(message: Message) -> None:
        done.append(message.data)

    consuming = asyncio.create_task(consume(bus, consumer, work, structlog.get_logger()))
    await bus.append(EVENT, b"0", msg_id="0")
    await eventually(lambda: done == [b"0"])
    js = (await bus.link.client(5)).jetstream()
    async with asyncio.timeout(20):
        while not (await js.consumer_info(subjects.JOBS, consumer.name)).num_waiting:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.05)
    begun = time.monotonic()
    await bus.drain()
    await consuming
    assert time.monotonic() - begun < 2


async def test_what_is_begun_without_waiting_is_told_at_once_when_the_server_dies_and_works_again_after(
    own_nats_server: NatsServer, bus: NatsBus
) -> None:
    subject = subjects.usage("p", "j")
    await bus.append_soon(subject, b"before", msg_id="1")
    own_nats_server.freeze()
    begun = [bus.append_soon(subject, b"lost", msg_id=f"lost-{number}") for number in range(20)]
    await asyncio.sleep(0)
    started = time.monotonic()
    own_nats_server.kill()
    results = await asyncio.gather(*begun, return_exceptions=True)
    assert time.monotonic() - started < 3
    assert {type(result) for result in results} == {BusUnavailable}
    with pytest.raises(BusUnavailable):
        await bus.append_soon(subject, b"away", msg_id="2")
    own_nats_server.start()
    await eventually(lambda: bus.connected)
    again = await asyncio.gather(
        *(bus.append_soon(subject, b"lost", msg_id=f"lost-{number}") for number in range(20))
    )
    assert [each.duplicate for each in again] == [False] * 20


async def test_what_is_begun_without_waiting_and_not_answered_ends_at_its_deadline(
    own_nats_server: NatsServer, bus: NatsBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_appends, "APPEND_DEADLINE_SECONDS", 0.3)
    own_nats_server.freeze()
    first = bus.append_soon(subjects.usage("p", "j"), b"", msg_id="1")
    await asyncio.sleep(0.1)
    second = bus.append_soon(subjects.usage("p", "j"), b"", msg_id="2")
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert {type(result) for result in results} == {BusUnavailable}
    own_nats_server.thaw()
    await eventually(lambda: bus.connected)
    assert (await bus.append_soon(subjects.usage("p", "j"), b"", msg_id="1")).duplicate, "it had been stored"
