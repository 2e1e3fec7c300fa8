"""Appending: order, message ids, compare-and-set."""

import asyncio

import pytest

from hostler_bus.errors import BadSubject, MessageTooLarge, SequenceConflict
from hostler_bus.port import Appended, Bus, Expect, FromSequence, Message
from hostler_contracts import subjects
from tests.conformance.bus.conftest import World

CREATED = subjects.job_event("p", "job1", "job.created")
READY = subjects.job_event("p", "job1", "replica.ready")
ANY_OF_JOB = subjects.job_events("p", "job1")


async def all_of(bus: Bus, pattern: str = subjects.JOBS_SUBJECTS, *, after_seq: int = 0) -> list[Message]:
    return [message async for message in bus.history(subjects.JOBS, pattern, after_seq=after_seq)]


async def test_appends_are_kept_in_order_with_their_content(bus: Bus) -> None:
    first = await bus.append(CREATED, b"one", msg_id="1")
    second = await bus.append(READY, b"two", msg_id="2")
    assert first == Appended(first.seq, duplicate=False)
    assert second.seq == first.seq + 1
    kept = await all_of(bus)
    assert [(message.subject, message.seq, message.data) for message in kept] == [
        (CREATED, first.seq, b"one"),
        (READY, second.seq, b"two"),
    ]
    assert all(message.time.tzinfo is not None for message in kept)


async def test_headers_carry_the_message_id_in_every_way_of_reading(bus: Bus) -> None:
    await bus.append(CREATED, b"", msg_id="the-id")
    last = await bus.last(subjects.JOBS, ANY_OF_JOB)
    assert last is not None
    assert (last.data, last.headers) == (b"", {**last.headers, "Nats-Msg-Id": "the-id"})
    assert [message.headers["Nats-Msg-Id"] for message in await all_of(bus)] == ["the-id"]


async def test_a_message_id_that_comes_again_is_a_success_and_stores_nothing(bus: Bus) -> None:
    first = await bus.append(CREATED, b"one", msg_id="1")
    again = await bus.append(CREATED, b"one", msg_id="1")
    assert again == Appended(first.seq, duplicate=True)
    assert len(await all_of(bus)) == 1


async def test_an_expectation_that_holds_lets_the_append_through(bus: Bus) -> None:
    first = await bus.append(CREATED, b"", msg_id="1", expect=Expect(0, ANY_OF_JOB))
    await bus.append(subjects.job_event("p", "other", "job.created"), b"", msg_id="o")
    second = await bus.append(READY, b"", msg_id="2", expect=Expect(first.seq, ANY_OF_JOB))
    assert second.seq == first.seq + 2


@pytest.mark.parametrize("expected", [0, 99], ids=["nothing", "what does not exist"])
async def test_an_expectation_under_a_pattern_that_fails_stores_nothing(bus: Bus, expected: int) -> None:
    await bus.append(CREATED, b"", msg_id="1")
    latest = await bus.append(READY, b"", msg_id="2")
    with pytest.raises(SequenceConflict) as conflict:
        await bus.append(CREATED, b"", msg_id="3", expect=Expect(expected, ANY_OF_JOB))
    assert conflict.value.actual_seq == latest.seq
    assert len(await all_of(bus)) == 2


async def test_the_same_append_again_is_a_success_though_its_expectation_no_longer_holds(bus: Bus) -> None:
    first = await bus.append(CREATED, b"one", msg_id="1", expect=Expect(0, ANY_OF_JOB))
    again = await bus.append(CREATED, b"one", msg_id="1", expect=Expect(0, ANY_OF_JOB))
    assert again == Appended(first.seq, duplicate=True)


async def test_the_same_append_again_is_a_success_though_others_went_on_from_it(bus: Bus) -> None:
    first = await bus.append(CREATED, b"one", msg_id="1", expect=Expect(0, ANY_OF_JOB))
    await bus.append(READY, b"two", msg_id="2", expect=Expect(first.seq, ANY_OF_JOB))
    again = await bus.append(CREATED, b"one", msg_id="1", expect=Expect(0, ANY_OF_JOB))
    assert again == Appended(first.seq, duplicate=True)
    assert len(await all_of(bus)) == 2


async def test_of_fifty_racing_appends_one_wins_every_round(world: World) -> None:
    buses = [await world.connect() for _ in range(5)]
    seq = 0
    for turn in range(4):
        outcomes = await asyncio.gather(
            *(
                buses[racer % 5].append(READY, b"", msg_id=f"{turn}-{racer}", expect=Expect(seq, ANY_OF_JOB))
                for racer in range(50)
            ),
            return_exceptions=True,
        )
        won = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
        assert len(won) == 1
        assert sum(isinstance(outcome, SequenceConflict) for outcome in outcomes) == 49
        seq = won[0].seq
    assert len(await all_of(buses[0])) == 4


@pytest.mark.parametrize(
    "subject", ["nobody.wants.this", "hostler.jobs.p.*.x", "hostler.jobs.p..x", "hostler.jobs", ""]
)
async def test_a_subject_that_no_stream_takes_is_refused_at_once(bus: Bus, subject: str) -> None:
    with pytest.raises(BadSubject):
        await bus.append(subject, b"", msg_id="1")


async def test_a_message_too_large_for_the_server_is_refused(bus: Bus) -> None:
    with pytest.raises(MessageTooLarge):
        await bus.append(CREATED, b"x" * (1024 * 1024 + 1), msg_id="1")


async def test_last_is_the_latest_under_a_pattern_and_none_where_there_is_none(bus: Bus) -> None:
    await bus.append(CREATED, b"one", msg_id="1")
    second = await bus.append(READY, b"two", msg_id="2")
    await bus.append(subjects.job_event("p", "other", "job.created"), b"", msg_id="3")
    last = await bus.last(subjects.JOBS, ANY_OF_JOB)
    assert last is not None
    assert (last.subject, last.seq, last.data) == (READY, second.seq, b"two")
    assert await bus.last(subjects.JOBS, subjects.job_events("p", "nobody")) is None
    exact = await bus.last(subjects.JOBS, CREATED)
    assert exact is not None
    assert exact.data == b"one"


async def test_history_ends_by_itself_and_begins_after_a_sequence(bus: Bus) -> None:
    assert await all_of(bus) == []
    seqs = [(await bus.append(READY, b"", msg_id=str(number))).seq for number in range(5)]
    await bus.append(subjects.job_event("p", "other", "job.created"), b"", msg_id="o")
    assert [message.seq for message in await all_of(bus, ANY_OF_JOB)] == seqs
    assert [message.seq for message in await all_of(bus, ANY_OF_JOB, after_seq=seqs[2])] == seqs[3:]
    assert await all_of(bus, ANY_OF_JOB, after_seq=1000) == []


async def test_what_is_published_to_a_stream_is_kept_without_an_answer(bus: Bus) -> None:
    await bus.publish(subjects.metrics("p", "job1"), b"load")
    async with bus.follow(subjects.METRICS, subjects.METRICS_SUBJECTS, start=FromSequence(1)) as items:
        async with asyncio.timeout(5):
            async for item in items:
                if isinstance(item, Message):
                    assert (item.subject, item.data) == (subjects.metrics("p", "job1"), b"load")
                    break


async def test_drain_lets_an_append_at_hand_finish(world: World) -> None:
    leaving, staying = await world.connect(), await world.connect()
    appending = asyncio.create_task(leaving.append(CREATED, b"x", msg_id="1"))
    await asyncio.sleep(0)
    await leaving.drain()
    appended = await appending
    assert [message.seq for message in await all_of(staying)] == [appended.seq]
