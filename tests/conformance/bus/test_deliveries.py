"""Durable consumers: delivered to one reader, again when not answered, and a dead letter in the end."""

import asyncio
import json

from hostler_bus.port import Bus, ConsumerSpec, Delivery, FromSequence, Message, Subscription
from hostler_contracts import subjects
from tests.conformance.bus.conftest import World

CONSUMER = ConsumerSpec(
    "worker", subjects.JOBS, "hostler.jobs.*.*.replica-ready", ack_wait_seconds=1.0, deliveries_max=2
)


async def put(bus: Bus, data: str, event: str = "replica.ready") -> int:
    return (await bus.append(subjects.job_event("p", "j", event), data.encode(), msg_id=data)).seq


async def take(world: World, items: Subscription[Delivery], elapse_seconds: float = 0.0) -> tuple[str, int]:
    """Body and number of the next delivery, and the delivery itself is answered by the caller."""
    delivery = await next_of(world, items, elapse_seconds)
    return delivery.message.data.decode(), delivery.attempt


async def next_of(world: World, items: Subscription[Delivery], elapse_seconds: float = 0.0) -> Delivery:
    """The next delivery, after letting time pass where that is ours to do."""
    async with asyncio.timeout(10):
        coming = asyncio.ensure_future(anext(items))
        await world.elapse(elapse_seconds)
        return await coming


async def dead_letters(bus: Bus, count: int) -> list[dict[str, object]]:
    """The first advisories, as soon as there are so many."""
    found: list[dict[str, object]] = []
    stream = subjects.DEAD_LETTER_ADVISORIES
    async with asyncio.timeout(10), bus.follow(stream, ">", start=FromSequence(1)) as items:
        while len(found) < count:
            item = await anext(items)
            if isinstance(item, Message):
                found.append(json.loads(item.data))
    return found


async def test_what_was_answered_does_not_come_again_and_the_place_is_remembered(
    world: World, bus: Bus
) -> None:
    for data in ("one", "two"):
        await put(bus, data)
    await put(bus, "not wanted", "replica.booting")
    async with bus.deliveries(CONSUMER) as items:
        delivery = await next_of(world, items)
        assert (delivery.message.data, delivery.attempt, delivery.message.seq) == (b"one", 1, 1)
        await delivery.ack()
    second = await world.connect()
    async with second.deliveries(CONSUMER) as items:
        delivery = await next_of(world, items)
        assert delivery.message.data == b"two"
        await delivery.ack()
        await put(bus, "three")
        assert await take(world, items) == ("three", 1)


async def test_two_readers_of_one_name_share_the_messages(world: World, bus: Bus) -> None:
    other = await world.connect()
    async with bus.deliveries(CONSUMER) as first, other.deliveries(CONSUMER) as second:
        for data in ("one", "two"):
            await put(bus, data)
        got = {await take(world, first), await take(world, second)}
        assert got == {("one", 1), ("two", 1)}


async def test_not_now_brings_it_again_after_the_delay(world: World, bus: Bus) -> None:
    await put(bus, "one")
    async with bus.deliveries(CONSUMER) as items:
        await (await next_of(world, items)).nak(0.3)
        again = await next_of(world, items, 0.31)
        assert (again.message.data, again.attempt) == (b"one", 2)
        await again.ack()


async def test_what_is_not_answered_comes_again(world: World, bus: Bus) -> None:
    await put(bus, "one")
    async with bus.deliveries(CONSUMER) as items:
        await next_of(world, items)
        assert (await next_of(world, items, 1.1)).attempt == 2


async def test_a_hopeless_message_is_a_dead_letter_with_its_reason(world: World, bus: Bus) -> None:
    seq = await put(bus, "poison")
    async with bus.deliveries(CONSUMER) as items:
        await (await next_of(world, items)).term("it makes\nno sense")
        (letter,) = await dead_letters(bus, 1)
        assert (letter["stream"], letter["consumer"], letter["stream_seq"]) == ("JOBS", "worker", seq)
        assert letter["reason"] in {"it makes no sense", "it makes\nno sense"}
        await put(bus, "good")
        assert await take(world, items) == ("good", 1)


async def test_after_the_last_delivery_a_message_is_a_dead_letter(world: World, bus: Bus) -> None:
    seq = await put(bus, "poison")
    async with bus.deliveries(CONSUMER) as items:
        await (await next_of(world, items)).nak(0.0)
        await (await next_of(world, items)).nak(0.0)
        await put(bus, "good")
        assert await take(world, items) == ("good", 1)
        (letter,) = await dead_letters(bus, 1)
        assert (letter["stream_seq"], letter["deliveries"]) == (seq, 2)


async def test_closing_ends_the_wait_for_a_delivery(world: World, bus: Bus) -> None:
    items = bus.deliveries(CONSUMER)
    waiting = asyncio.ensure_future(anext(items, None))
    await asyncio.sleep(0.05)
    await items.close()
    async with asyncio.timeout(2):
        assert await waiting is None
