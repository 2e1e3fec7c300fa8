"""From a message that a consumer gives up to its letter in the book, and back to that consumer alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import structlog

from hostler_bus.consume import consume
from hostler_bus.dead_letters import DeadLetterBook, collect
from hostler_bus.port import Bus, ConsumerSpec, FromSequence, Message
from hostler_contracts import subjects
from hostler_contracts.dead_letters import BODY_BYTES_MAX
from hostler_domain.dead_letters import LetterState
from hostler_domain.errors import Conflict, NotFound, PermanentError
from tests.conformance.bus.conftest import World
from tests.support.eventually import eventually

WORKER = ConsumerSpec("worker", subjects.JOBS, subjects.JOBS_SUBJECTS, ack_wait_seconds=2.0, deliveries_max=2)
OTHER = ConsumerSpec("other", subjects.JOBS, subjects.JOBS_SUBJECTS, ack_wait_seconds=2.0, deliveries_max=2)


@asynccontextmanager
async def running(*works: Awaitable[None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def book_of(world: World, bus: Bus) -> DeadLetterBook:
    return DeadLetterBook(bus, source="/hostler/test/1", clock=world.clock)


async def put(bus: Bus, data: bytes) -> int:
    subject = subjects.job_event("p", "j", "replica.ready")
    return (await bus.append(subject, data, msg_id=f"{len(data)}-{data[:20]!r}")).seq


async def stored(bus: Bus, stream: str) -> list[Message]:
    return [message async for message in bus.history(stream, ">")]


async def gets(
    bus: Bus, stream: str, count: int, world: World, *, elapse_seconds: float = 0.0
) -> list[Message]:
    """The first messages of a stream, as soon as there are so many."""
    found: list[Message] = []
    async with asyncio.timeout(20), bus.follow(stream, ">", start=FromSequence(1)) as items:
        while len(found) < count:
            coming = asyncio.ensure_future(anext(items))
            await world.elapse(elapse_seconds)
            item = await coming
            if isinstance(item, Message):
                found.append(item)
    return found


class Worker:
    """A handler that has a bug until it is fixed, and remembers what it was given."""

    def __init__(self) -> None:
        self.fixed = False
        self.done: list[Message] = []

    async def __call__(self, message: Message) -> None:
        if not self.fixed and message.data.startswith(b"poison"):
            raise PermanentError("it makes no sense")
        self.done.append(message)


def ignoring(log: list[Message]) -> Callable[[Message], Awaitable[None]]:
    async def work(message: Message) -> None:
        log.append(message)

    return work


async def test_what_is_given_up_is_copied_with_all_that_is_known_of_it(world: World, bus: Bus) -> None:
    logger = structlog.get_logger()
    book = book_of(world, bus)
    seq = await put(bus, b"poison \xff")
    async with running(consume(bus, WORKER, Worker(), logger), collect(bus, book, logger)):
        (told,) = await gets(bus, subjects.DEAD_LETTERS, 1, world)
    assert told.subject == f"hostler.deadletters.JOBS.worker.{seq}"
    entry = await book.load(f"JOBS.worker.{seq}")
    letter = entry.letter
    assert (letter.source.stream, letter.source.consumer, letter.source.seq) == ("JOBS", "worker", seq)
    assert letter.subject == subjects.job_event("p", "j", "replica.ready")
    assert (letter.state, letter.failures, letter.deliveries) == (LetterState.WAITING, 1, 1)
    assert letter.reason == "it makes no sense"
    assert entry.message.body == b"poison \xff"
    assert entry.message.headers["Nats-Msg-Id"]


async def test_an_advisory_that_comes_twice_makes_one_letter(world: World, bus: Bus) -> None:
    logger = structlog.get_logger()
    book = book_of(world, bus)
    await put(bus, b"poison")
    async with running(consume(bus, WORKER, Worker(), logger)):
        (advisory,) = await gets(bus, subjects.DEAD_LETTER_ADVISORIES, 1, world)
    first, *others = await asyncio.gather(*(book.give_up(advisory) for _ in range(5)))
    assert [each for each in (first, *others) if each is not None] == [
        (await book.load("JOBS.worker.1")).letter
    ]
    assert await book.give_up(advisory) is None
    assert len(await stored(bus, subjects.DEAD_LETTERS)) == 1


async def test_a_replay_comes_to_the_consumer_that_gave_up_and_to_no_other(world: World, bus: Bus) -> None:
    logger = structlog.get_logger()
    book = book_of(world, bus)
    worker, seen = Worker(), list[Message]()
    seq = await put(bus, b"poison")
    async with running(
        consume(bus, WORKER, worker, logger),
        consume(bus, OTHER, ignoring(seen), logger),
        collect(bus, book, logger),
    ):
        await gets(bus, subjects.DEAD_LETTERS, 1, world)
        worker.fixed = True
        letter = await book.replay(f"JOBS.worker.{seq}", by="key-1")
        assert (letter.state, letter.replays, letter.handled_by) == (LetterState.REPLAYED, 1, "key-1")
        async with asyncio.timeout(20):
            await eventually(lambda: len(worker.done) == 1)
        assert await book.replay(f"JOBS.worker.{seq}", by="key-2") == letter
    (original,) = await stored(bus, subjects.JOBS)
    (again,) = worker.done
    assert (again.subject, again.seq, again.data, again.time) == (
        original.subject,
        original.seq,
        original.data,
        original.time,
    )
    assert [message.seq for message in seen] == [seq]


async def test_a_replay_that_fails_again_is_the_same_letter_once_more(world: World, bus: Bus) -> None:
    logger = structlog.get_logger()
    book = book_of(world, bus)
    worker = Worker()
    await put(bus, b"poison")
    async with running(consume(bus, WORKER, worker, logger), collect(bus, book, logger)):
        await gets(bus, subjects.DEAD_LETTERS, 1, world)
        await book.replay("JOBS.worker.1", by="key-1")
        told = await gets(bus, subjects.DEAD_LETTERS, 3, world)
        entry = await book.load("JOBS.worker.1")
        assert {message.subject for message in told} == {"hostler.deadletters.JOBS.worker.1"}
        assert (entry.letter.state, entry.letter.failures, entry.letter.replays) == (
            LetterState.WAITING,
            2,
            1,
        )
        assert entry.message.body == b"poison"
        # A second replay is one more, not the first one's duplicate.
        worker.fixed = True
        await book.replay("JOBS.worker.1", by="key-1")
        await eventually(lambda: len(worker.done) == 1)


async def test_whoever_was_killed_between_handing_over_and_noting_it_can_replay_again(
    world: World, bus: Bus
) -> None:
    logger = structlog.get_logger()
    book = book_of(world, bus)
    worker = Worker()
    await put(bus, b"poison")
    async with running(consume(bus, WORKER, worker, logger), collect(bus, book, logger)):
        await gets(bus, subjects.DEAD_LETTERS, 1, world)

    class Killed(Exception):
        pass

    class DyingBook(DeadLetterBook):
        async def _stored(self, *_: object) -> bool:
            raise Killed

    with pytest.raises(Killed):
        await DyingBook(bus, source="/hostler/test/2", clock=world.clock).replay("JOBS.worker.1", by="key-1")
    assert (await book.load("JOBS.worker.1")).letter.state is LetterState.WAITING
    assert (await book.replay("JOBS.worker.1", by="key-1")).state is LetterState.REPLAYED
    assert len(await stored(bus, subjects.REPLAYS)) == 1


async def test_a_large_message_is_not_copied_and_is_replayed_from_where_it_lies(
    world: World, bus: Bus
) -> None:
    logger = structlog.get_logger()
    book = book_of(world, bus)
    worker = Worker()
    body = b"poison" + b"x" * BODY_BYTES_MAX
    await put(bus, body)
    async with running(consume(bus, WORKER, worker, logger), collect(bus, book, logger)):
        await gets(bus, subjects.DEAD_LETTERS, 1, world)
        assert (await book.load("JOBS.worker.1")).message.body is None
        worker.fixed = True
        await book.replay("JOBS.worker.1", by="key-1")
        await eventually(lambda: len(worker.done) == 1)
    assert worker.done[0].data == body


async def test_a_discarded_letter_stays_readable_and_one_on_its_way_cannot_be_discarded(
    world: World, bus: Bus
) -> None:
    logger = structlog.get_logger()
    book = book_of(world, bus)
    await put(bus, b"poison")
    async with running(consume(bus, WORKER, Worker(), logger), collect(bus, book, logger)):
        await gets(bus, subjects.DEAD_LETTERS, 1, world)
    assert (await book.discard("JOBS.worker.1", by="key-1")).state is LetterState.DISCARDED
    assert (await book.load("JOBS.worker.1")).message.body == b"poison"
    await book.replay("JOBS.worker.1", by="key-1")
    with pytest.raises(Conflict):
        await book.discard("JOBS.worker.1", by="key-1")


@pytest.mark.parametrize(
    "letter_id", ["JOBS.worker.7", "nonsense", "a.b.c", "JOBS.worker.1.2", "JOBS..1", "J S.*.1"]
)
async def test_a_letter_that_there_is_not_is_not_found(world: World, bus: Bus, letter_id: str) -> None:
    with pytest.raises(NotFound):
        await book_of(world, bus).load(letter_id)
