"""Appending without waiting: order, message ids, and what becomes of the future when it fails."""

import asyncio

import pytest

from hostler_bus.errors import BadSubject, BusClosed, MessageTooLarge
from hostler_bus.port import Appended, Bus, Message
from hostler_contracts import subjects
from tests.conformance.bus.conftest import World

USAGE = subjects.usage("p", "job1")


async def stored(bus: Bus) -> list[Message]:
    return [message async for message in bus.history(subjects.USAGE, subjects.USAGE_SUBJECTS)]


async def test_what_is_begun_in_one_turn_is_stored_in_its_order(bus: Bus) -> None:
    begun = [bus.append_soon(USAGE, str(number).encode(), msg_id=f"m{number}") for number in range(300)]
    appended = await asyncio.gather(*begun)
    assert [each.seq for each in appended] == list(range(appended[0].seq, appended[0].seq + 300))
    assert not any(each.duplicate for each in appended)
    kept = await stored(bus)
    assert [message.data for message in kept] == [str(number).encode() for number in range(300)]
    assert [message.headers["Nats-Msg-Id"] for message in kept] == [f"m{number}" for number in range(300)]


async def test_a_message_id_that_comes_again_is_a_success_and_stores_nothing(bus: Bus) -> None:
    first = await bus.append_soon(USAGE, b"one", msg_id="1")
    assert await bus.append_soon(USAGE, b"one", msg_id="1") == Appended(first.seq, duplicate=True)
    assert await bus.append(USAGE, b"one", msg_id="1") == Appended(first.seq, duplicate=True)
    assert len(await stored(bus)) == 1


async def test_one_that_fails_fails_alone(bus: Bus) -> None:
    begun = [
        bus.append_soon(USAGE, b"before", msg_id="1"),
        bus.append_soon("nowhere.at.all", b"", msg_id="2"),
        bus.append_soon(USAGE, b"x" * (2**20 + 1), msg_id="3"),
        bus.append_soon(USAGE, b"after", msg_id="4"),
    ]
    _, no_stream, too_large, _ = await asyncio.gather(*begun, return_exceptions=True)
    assert isinstance(no_stream, BadSubject)
    assert isinstance(too_large, MessageTooLarge)
    assert [message.data for message in await stored(bus)] == [b"before", b"after"]


async def test_one_that_nobody_waits_for_any_more_is_stored_all_the_same(bus: Bus) -> None:
    first = bus.append_soon(USAGE, b"one", msg_id="1")
    await asyncio.sleep(0)
    await bus.append_soon(USAGE, b"two", msg_id="2")
    assert first.done()
    assert len(await stored(bus)) == 2


async def test_on_a_drained_bus_it_fails_at_once(world: World) -> None:
    bus = await world.connect()
    await bus.drain()
    with pytest.raises(BusClosed):
        await bus.append_soon(USAGE, b"", msg_id="1")


async def test_what_was_begun_before_a_drain_is_answered(world: World) -> None:
    leaving, staying = await world.connect(), await world.connect()
    begun = [leaving.append_soon(USAGE, b"x", msg_id=str(number)) for number in range(50)]
    await asyncio.sleep(0)
    await leaving.drain()
    assert all(future.done() for future in begun)
    assert len([future for future in begun if future.exception() is None]) == len(await stored(staying)) == 50
