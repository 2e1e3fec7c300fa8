"""Following: every start, no gap, no repeat, ends when told to."""

import asyncio

import pytest

from hostler_bus.port import (
    Bus,
    CaughtUp,
    FromSequence,
    LastPerSubject,
    Message,
    OnlyNew,
    SinceTime,
    Start,
    Subscription,
)
from hostler_contracts import subjects
from tests.conformance.bus.conftest import World

EVENT = "replica.ready"


async def put(bus: Bus, job: str, data: str) -> int:
    subject = subjects.job_event("p", job, EVENT)
    return (await bus.append(subject, data.encode(), msg_id=f"{job}-{data}")).seq


async def take(items: Subscription[Message | CaughtUp], count: int) -> list[str]:
    """The next items, `|` for having caught up."""
    async with asyncio.timeout(10):
        got = [await anext(items) for _ in range(count)]
    return [item.data.decode() if isinstance(item, Message) else "|" for item in got]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param(FromSequence(1), ["a1", "b1", "a2", "|", "b2"], id="from the first"),
        pytest.param(FromSequence(2), ["b1", "a2", "|", "b2"], id="from the second"),
        pytest.param(FromSequence(4), ["|", "b2"], id="from the one that comes next"),
        pytest.param(LastPerSubject(), ["b1", "a2", "|", "b2"], id="last per subject"),
        pytest.param(OnlyNew(), ["|", "b2"], id="only new"),
    ],
)
async def test_a_follow_begins_where_it_was_told_and_goes_on(
    bus: Bus, start: Start, expected: list[str]
) -> None:
    for job, data in (("a", "a1"), ("b", "b1"), ("a", "a2")):
        await put(bus, job, data)
    async with bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=start) as items:
        got = await take(items, len(expected) - 1)
        await put(bus, "b", "b2")
        assert got + await take(items, 1) == expected


async def test_a_follow_since_a_time_leaves_out_what_is_older(world: World, bus: Bus) -> None:
    await put(bus, "a", "old")
    await world.elapse(10)
    await put(bus, "a", "young")
    young = await bus.last(subjects.JOBS, subjects.JOBS_SUBJECTS)
    assert young is not None
    async with bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=SinceTime(young.time)) as items:
        assert await take(items, 2) == ["young", "|"]


async def test_an_empty_stream_is_caught_up_at_once(bus: Bus) -> None:
    async with bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=LastPerSubject()) as items:
        assert await take(items, 1) == ["|"]
        await put(bus, "a", "a1")
        await put(bus, "a", "a2")
        assert await take(items, 2) == ["a1", "a2"]


async def test_a_follow_of_one_job_sees_no_other(bus: Bus) -> None:
    await put(bus, "a", "a1")
    async with bus.follow(subjects.JOBS, subjects.job_events("p", "b"), start=FromSequence(1)) as items:
        assert await take(items, 1) == ["|"]
        await put(bus, "a", "a2")
        await put(bus, "b", "b1")
        assert await take(items, 1) == ["b1"]


async def test_last_per_subject_then_follow_leaves_no_gap_while_others_append(world: World) -> None:
    reader, writer = await world.connect(), await world.connect()
    jobs = 20
    for number in range(jobs):
        await put(writer, f"job{number}", "0")
    highest = {f"job{number}": 0 for number in range(jobs)}
    seqs: list[int] = []

    async def write() -> None:
        for value in range(1, 16):
            await asyncio.gather(*(put(writer, f"job{number}", str(value)) for number in range(jobs)))

    writing = asyncio.create_task(write())
    async with (
        asyncio.timeout(30),
        reader.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=LastPerSubject()) as items,
    ):
        async for item in items:
            if isinstance(item, Message):
                job, value = item.subject.split(".")[3], int(item.data)
                # Each job's changes come one by one from the first that was seen; only the very first may be any of them.
                assert value == highest[job] + 1 or (highest[job] == 0 and value >= 0)
                highest[job] = value
                seqs.append(item.seq)
            if all(value == 15 for value in highest.values()):
                break
    await writing
    assert seqs == sorted(set(seqs))


async def test_many_messages_come_complete_and_in_order(bus: Bus) -> None:
    count = 1500
    await asyncio.gather(*(put(bus, "a", str(number)) for number in range(count)))
    seqs = [message.seq async for message in bus.history(subjects.JOBS, subjects.JOBS_SUBJECTS)]
    assert seqs == list(range(seqs[0], seqs[0] + count))


async def test_a_reader_that_gives_up_waiting_loses_nothing(bus: Bus) -> None:
    async with bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=OnlyNew()) as items:
        assert await take(items, 1) == ["|"]
        for number in range(20):
            waiting = asyncio.ensure_future(anext(items))
            await asyncio.sleep(0)
            appending = asyncio.create_task(put(bus, "a", str(number)))
            waiting.cancel()
            got = await asyncio.gather(waiting, return_exceptions=True)
            await appending
            if isinstance(got[0], asyncio.CancelledError):
                assert await take(items, 1) == [str(number)]


async def test_close_wakes_the_reader_and_ends_the_series(bus: Bus) -> None:
    items = bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=OnlyNew())
    assert await take(items, 1) == ["|"]
    waiting = asyncio.ensure_future(anext(items, None))
    await asyncio.sleep(0.01)
    await items.close()
    await items.close()
    async with asyncio.timeout(5):
        assert await waiting is None
    assert [item async for item in items] == []


async def test_drain_ends_every_follow(bus: Bus) -> None:
    items = bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=OnlyNew())
    assert await take(items, 1) == ["|"]
    waiting = asyncio.ensure_future(anext(items, None))
    await asyncio.sleep(0.01)
    await bus.drain()
    async with asyncio.timeout(5):
        assert await waiting is None
    late = bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=OnlyNew())
    async with asyncio.timeout(5):
        assert [item async for item in late] == []
