"""What the end of an answer waits for where usage goes through a journal: on virtual time, with a bus that answers when told."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from hostler_bus.errors import BusError, BusUnavailable
from tests.support.usage_world import BOUND_SECONDS, World, played, turns


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Runs a story on virtual time."""
    return lambda story, **options: played(story, tmp_path / "spool", **options)


def test_with_a_journal_those_of_a_turn_are_written_at_once_and_told_before_the_stream_answers(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a", "b")
        assert world.told == []
        await turns()
        assert (world.names_told, world.journalled, world.bus.batches) == (["a", "b"],) * 2 + ([["a", "b"]],)
        world.commit("c")
        await turns()
        assert (world.names_told, world.bus.batches) == (["a", "b", "c"], [["a", "b"], ["c"]])
        world.bus.answer()
        await turns()
        assert world.journalled == ["c"]
        world.bus.answer()
        await turns()
        assert (world.journalled, world.kept, world.reporter.figures.stored) == ([], [], 3)
        await world.reporter.close()
        assert list(world.folder.iterdir()) == []

    play(story, journal=True)


@pytest.mark.parametrize("error", [None, BusUnavailable("no answer")], ids=["no answer", "an error"])
def test_what_the_journal_has_and_the_stream_does_not_is_kept_and_sent_again_under_its_id(
    play: Callable[..., None], error: BusError | None
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        if error is not None:
            world.bus.answer(error=error)
        await asyncio.sleep(BOUND_SECONDS + 0.01)
        assert (world.journalled, world.kept) == ([], ["a"])
        world.bus.answer_at_once = True
        await world.reporter.publish()
        first, second = world.bus.ids
        assert (first == second, world.kept, world.names_told) == (True, [], ["a"])

    play(story, journal=True)


def test_where_the_journal_takes_nothing_the_end_waits_for_the_stream(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        monkeypatch.setattr(world.journal, "keep", lambda batches: None)
        world.commit("a")
        await turns()
        assert (world.told, world.bus.batches) == ([], [["a"]])
        world.bus.answer()
        await turns()
        assert world.names_told == ["a"]

    play(story, journal=True)


def test_a_slow_stream_gets_only_so_many_batches_and_the_rest_waits_on_the_disk(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        for number in range(70):
            world.commit(str(number))
            await turns()
        assert len(world.names_told) == 70
        assert len(world.bus.sent) == 64
        assert world.kept == [str(number) for number in range(64, 70)]

    play(story, journal=True)
