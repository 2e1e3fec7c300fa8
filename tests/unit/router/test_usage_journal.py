"""What the end of an answer waits for where usage goes through a journal: on virtual time, with a bus that answers when told."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from hostler_bus.errors import BusError, BusUnavailable
from hostler_contracts.usage import decode_usage
from hostler_router import usage_journal
from hostler_router.usage_batches import Batch
from tests.support.compiled import interpreted_only
from tests.support.usage import record
from tests.support.usage_world import BOUND_SECONDS, GATHER_SECONDS, World, ids, played, turns


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Runs a story on virtual time."""
    return lambda story, **options: played(story, tmp_path / "spool", **options)


def test_those_of_a_turn_are_written_at_once_and_told_before_anything_is_sent(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a", "b")
        assert world.told == []
        await turns()
        assert (world.names_told, world.journalled, world.bus.batches) == (["a", "b"], ["a", "b"], [])
        world.commit("c")
        await turns()
        assert (world.names_told, world.journalled, world.bus.batches) == (["a", "b", "c"],) * 2 + ([],)
        await asyncio.sleep(GATHER_SECONDS)
        assert (world.bus.batches, world.journalled) == ([["a", "b", "c"]], ["a", "b", "c"])
        world.bus.answer()
        await turns()
        assert (world.journalled, world.kept, world.reporter.figures.stored) == ([], [], 3)
        assert (world.reporter.figures.batches, world.reporter.figures.requests) == (1, 3)
        assert world.reporter.committer._lanes == {}  # jobs come and go
        await world.reporter.close()
        assert list(world.folder.iterdir()) == []

    play(story, journal=True)


def test_jobs_grow_batches_of_their_own_that_leave_together(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a", job="one")
        await turns()
        world.commit("b", job="two")
        world.commit("c", job="one")
        await turns()
        assert sorted(world.journalled) == ["a", "b", "c"]
        await asyncio.sleep(GATHER_SECONDS)
        assert world.bus.batches == [["a", "c"], ["b"]]
        numbers = [event.data.number for event, _ in world.bus.sent]
        assert numbers == [1, 2]

    play(story, journal=True)


def test_what_ends_while_a_batch_is_on_its_way_makes_the_next(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(GATHER_SECONDS + 0.01)
        world.commit("b")
        await turns()
        assert (world.bus.batches, world.journalled) == ([["a"]], ["a", "b"])
        world.bus.answer()
        await turns()
        assert world.journalled == ["b"]
        await asyncio.sleep(GATHER_SECONDS)
        assert world.bus.batches == [["b"]]

    play(story, journal=True)


@interpreted_only
def test_a_large_batch_leaves_before_its_time(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_journal, "BATCH_BYTES_MAX", 2_000)

    async def story(world: World) -> None:
        names = [str(number) for number in range(10)]
        for name in names:
            world.commit(name)
            await turns()
        assert world.names_told == world.journalled == names
        sent = [name for batch in world.bus.batches for name in batch]
        assert len(world.bus.batches) > 1
        assert sent == names[: len(sent)]
        await asyncio.sleep(GATHER_SECONDS)
        assert [name for batch in world.bus.batches for name in batch] == names

    play(story, journal=True)


@pytest.mark.parametrize("error", [None, BusUnavailable("no answer")], ids=["no answer", "an error"])
def test_what_the_journal_has_and_the_stream_does_not_is_kept_and_sent_again_under_its_id(
    play: Callable[..., None], error: BusError | None
) -> None:
    async def story(world: World) -> None:
        for name in ("a", "b"):
            world.commit(name)
            await turns()
        await asyncio.sleep(GATHER_SECONDS)
        if error is not None:
            world.bus.answer(error=error)
        await asyncio.sleep(BOUND_SECONDS + 0.01)
        assert (world.journalled, world.kept) == ([], ["a", "b"])
        world.bus.answer_at_once = True
        await world.reporter.publish()
        first, second = world.bus.ids
        assert (first == second, world.kept, world.names_told) == (True, [], ["a", "b"])

    play(story, journal=True)


def test_where_the_journal_takes_nothing_the_end_waits_for_the_stream(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        assert world.journal is not None
        world.journal._bytes_max = 0
        world.commit("a")
        await turns()
        assert (world.told, world.bus.batches) == ([], [["a"]])
        world.bus.answer()
        await turns()
        assert world.names_told == ["a"]

    play(story, journal=True)


def test_where_the_journal_takes_no_more_of_a_batch_what_it_has_is_sent_and_the_rest_waits_for_the_stream(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        assert world.journal is not None
        world.journal._bytes_max = world.journal.bytes
        world.commit("b")
        await turns()
        assert (world.names_told, world.bus.batches) == (["a"], [["a"], ["b"]])
        world.bus.answer(1)
        await turns()
        assert (world.names_told, world.journalled) == (["a", "b"], ["a"])

    play(story, journal=True)


def test_one_that_can_not_be_written_spoils_neither_the_batch_nor_those_beside_it(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        commit = world.reporter.committer.commit
        commit("p", "j", record(usage_id="bad", request_id="\ud800"), lambda: world.told.append(("bad", 0)))
        world.commit("b")
        await turns()
        assert (world.names_told, world.journalled) == (["a", "bad", "b"], ["a", "b"])
        await asyncio.sleep(GATHER_SECONDS)
        assert world.bus.batches == [["a"], ["b"]]
        assert world.reporter.figures.lost == 1

    play(story, journal=True)


def test_without_a_connection_what_has_gathered_is_kept_and_leaves_the_journal(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.bus.up = False
        for name in ("a", "b"):
            world.commit(name)
            await turns()
        assert (world.names_told, world.journalled, world.kept) == (["a", "b"], ["a", "b"], [])
        await asyncio.sleep(GATHER_SECONDS)
        assert (world.journalled, world.kept, world.bus.sent) == ([], ["a", "b"], [])
        world.bus.up = world.bus.answer_at_once = True
        await world.reporter.publish()
        assert (world.kept, world.reporter.figures.stored) == ([], 2)

    play(story, journal=True)


def test_at_the_end_what_has_gathered_is_stored_or_on_the_disk(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.commit("b")  # it has not even been written
        world.bus.answer_at_once = True
        await world.reporter.publish()
        assert (world.journalled, world.bus.batches[-1:]) == ([], [["a", "b"]])
        world.bus.answer_at_once = False
        world.commit("c")
        await turns()
        before = len(world.bus.sent)
        world.reporter.committer.keep_all()
        assert len(world.bus.sent) == before, "nobody would hear the answer"
        assert (world.journalled, world.kept, world.names_told) == ([], ["c"], ["a", "b", "c"])

    play(story, journal=True)


def test_a_slow_stream_gets_only_so_many_batches_and_the_rest_waits_on_the_disk(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        for number in range(70):
            world.commit(str(number))
            await asyncio.sleep(GATHER_SECONDS + 0.01)
        assert len(world.names_told) == 70
        assert len(world.bus.sent) == 64
        assert world.kept[-6:] == [str(number) for number in range(64, 70)]

    play(story, timeout_seconds=BOUND_SECONDS * 100, journal=True)


def test_another_process_makes_of_the_journal_what_this_one_would_have_sent(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        for name in ("a", "b", "c"):
            world.commit(name, job=f"job-{name == 'b'}")
            world.commit(f"{name}2", job="job-False")
            await turns()
        assert world.journal is not None
        (segment,) = world.journal.segments
        read = [batch for batch in segment.unsettled() if isinstance(batch, Batch)]
        await asyncio.sleep(GATHER_SECONDS)
        sent = {event.id: event for event, _ in world.bus.sent}
        assert [decode_usage(batch.data) for batch in read] == [sent[batch.msg_id] for batch in read]
        assert [batch.requests for batch in read] == [len(sent[each.msg_id].data.requests) for each in read]
        assert sorted(name for each in sent.values() for name in ids(each.data.requests)) == sorted(
            world.names_told
        )

    play(story, journal=True)
