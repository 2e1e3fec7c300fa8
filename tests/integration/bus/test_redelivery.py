"""Messages that come again and again on a real server, and effects that happen once per event all the same (fault matrix, row 16)."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from hostler_bus.consume import consume
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.port import Delivery, Message
from hostler_contracts import subjects
from tests.support import effects
from tests.support.effects import BILLING, EffectStore
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

EVENTS = [f"event-{number}" for number in range(12)]


@pytest.fixture
def store(tmp_path: Path) -> EffectStore:
    return EffectStore(tmp_path / "effects.db")


@pytest.fixture
async def bus(own_nats_server: NatsServer) -> AsyncIterator[NatsBus]:
    server = own_nats_server
    bus = await connect(server.url, user=server.user, password=server.password, name="test")
    for event in EVENTS:
        await bus.append(subjects.job_event("p", "j", "replica.ready"), event.encode(), msg_id=event)
    yield bus
    await bus.drain()


def worker(server: NatsServer, store_file: Path, deadly: str) -> subprocess.Popen[bytes]:
    """A process that makes effects, and dies right after the one of `deadly`."""
    command = [sys.executable, effects.__file__, server.url, server.user, str(store_file), deadly]
    environment = {**os.environ, effects.PASSWORD_VARIABLE: server.password}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


async def test_a_handler_that_outlasts_its_time_by_far_makes_each_effect_once(
    bus: NatsBus, own_nats_server: NatsServer, store: EffectStore
) -> None:
    begun: Counter[str] = Counter()
    done: Counter[str] = Counter()

    async def handle(delivery: Delivery) -> None:
        event = delivery.message.data.decode()
        begun[event] += 1
        # No sign of life: it goes on until somebody else was given the same message, and both make the effect.
        await eventually(lambda: begun[event] >= 2, timeout_seconds=60)
        store.apply(event)
        done[event] += 1
        await delivery.ack()

    async def read() -> None:
        handlers: set[asyncio.Task[None]] = set()
        async with bus.deliveries(BILLING) as items:
            async for delivery in items:
                handlers.add(asyncio.create_task(handle(delivery)))

    reading = asyncio.create_task(read())
    await eventually(lambda: all(done[event] >= 2 for event in EVENTS), timeout_seconds=60)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    assert sorted(store.effects()) == sorted(EVENTS)
    assert len(store.tries()) >= 2 * len(EVENTS)


async def test_a_handler_that_is_killed_between_effect_and_answer_leaves_each_effect_once(
    bus: NatsBus, own_nats_server: NatsServer, store: EffectStore, tmp_path: Path
) -> None:
    server, deadly = own_nats_server, EVENTS[5]
    store_file = tmp_path / "effects.db"
    first = worker(server, store_file, deadly)
    assert await asyncio.to_thread(first.wait, 60) == -9
    assert (store.effects()[-1], store.tries().count(deadly)) == (deadly, 1)
    second = worker(server, store_file, deadly)
    try:
        await eventually(lambda: len(store.effects()) == len(EVENTS), timeout_seconds=60)
        await eventually(lambda: store.tries().count(deadly) >= 2, timeout_seconds=60)
    finally:
        second.kill()
        second.wait()
    assert sorted(store.effects()) == sorted(EVENTS)


async def test_a_consumer_that_says_it_is_at_work_gets_nothing_twice_however_long_it_takes(
    bus: NatsBus,
) -> None:
    attempts: Counter[str] = Counter()
    last = asyncio.Event()

    async def slow(message: Message) -> None:
        event = message.data.decode()
        attempts[event] += 1
        if event == EVENTS[0]:
            await asyncio.sleep(2.5 * BILLING.ack_wait_seconds)  # the server's clock decides, and it is real
        if event == EVENTS[-1]:
            last.set()

    running = asyncio.create_task(consume(bus, BILLING, slow, structlog.get_logger()))
    async with asyncio.timeout(60):
        await last.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert attempts == dict.fromkeys(EVENTS, 1)
