"""When a finished request leaves, with whom, and when whoever waits for it is told: on virtual time, with a bus that answers when told."""

import asyncio
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
import structlog

from hostler_bus.errors import BusError, BusUnavailable, MessageTooLarge, StreamFull
from hostler_router.usage_spool import UsageSpool
from tests.support.usage import record
from tests.support.usage_world import BOUND_SECONDS, World, played, turns


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Runs a story on virtual time."""
    return lambda story, **options: played(story, tmp_path / "spool", **options)


def test_one_alone_leaves_at_once_and_is_told_when_it_is_stored(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        assert world.bus.batches == []
        await turns()
        assert (world.bus.batches, world.told) == ([["a"]], [])
        world.bus.answer()
        await turns()
        assert world.told == [("a", world.begun)]
        await asyncio.sleep(1)
        assert (world.names_told, world.kept, world.bus.sent) == (["a"], [], [])

    play(story)


def test_those_of_one_turn_leave_together_by_job(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a", "b")
        world.commit("x", job="k")
        await turns()
        assert world.bus.batches == [["a", "b"], ["x"]]
        world.bus.answer(1)
        await turns()
        assert world.names_told == ["x"]

    play(story)


def test_those_that_end_meanwhile_wait_for_the_answer_and_leave_together(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.commit("b")
        await turns()
        world.commit("c")
        await turns()
        assert world.bus.batches == [["a"]]
        world.bus.answer()
        await turns()
        assert (world.bus.batches, world.names_told) == ([["b", "c"]], ["a"])

    play(story)


def test_those_that_wait_for_no_answer_leave_after_the_batch_time(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.commit("b")
        await asyncio.sleep(0.001)
        world.commit("c")
        await asyncio.sleep(0.0005)
        assert world.bus.batches == [["a"]]
        await asyncio.sleep(0.001)
        assert world.bus.batches == [["a"], ["b", "c"]]

    play(story)


def test_a_busy_job_gathers_on_while_others_of_its_batches_are_on_their_way(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(0)
        world.commit("b")
        await asyncio.sleep(0.0021)
        assert world.bus.batches == [["a"], ["b"]]
        world.commit("c")
        world.bus.answer()
        await asyncio.sleep(0.001)
        assert (world.names_told, world.bus.batches) == (["a"], [["b"]])
        world.commit("d")
        world.bus.answer()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (world.names_told, world.bus.batches) == (["a", "b"], [["c", "d"]])

    play(story)


def test_no_more_than_four_batches_of_a_job_are_on_their_way(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        for number in range(8):
            world.commit(str(number))
            await asyncio.sleep(0.005)
        assert world.bus.batches == [["0"], ["1"], ["2"], ["3"]]
        world.bus.answer(2)
        await turns()
        assert world.bus.batches[-1] == ["4", "5", "6", "7"]

    play(story)


def test_who_is_not_stored_in_time_is_on_the_disk_when_told(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(BOUND_SECONDS - 0.001)
        assert (world.told, world.kept) == ([], [])
        await asyncio.sleep(0.002)
        assert (world.told, world.kept) == ([("a", world.begun + BOUND_SECONDS)], ["a"])

    play(story)


def test_one_that_is_stored_late_after_all_is_not_sent_again(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(1)
        world.bus.answer()
        await turns()
        assert (world.names_told, world.kept, list(world.folder.iterdir())) == (["a"], [], [])
        await world.reporter.publish()
        assert len(world.bus.ids) == 1

    play(story)


def test_those_that_waited_behind_a_late_one_are_told_within_their_own_bound(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        for number in range(40):
            world.commit(str(number))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        times = dict(world.told)
        assert len(world.told) == len(times) == 40
        for number in range(40):
            assert times[str(number)] <= world.begun + number * 0.01 + BOUND_SECONDS + 0.003
        assert sorted(world.kept, key=int) == [str(number) for number in range(40)]

    play(story)


def test_while_nothing_answers_nobody_is_held_back_for_the_whole_bound(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await asyncio.sleep(1)
        begun = world.now
        world.commit("b")
        await asyncio.sleep(0.003)
        assert world.told[1][1] - begun < 0.003
        assert world.kept == ["a", "b"]

    play(story)


def test_without_a_connection_requests_are_kept_in_groups_and_sent_when_it_is_back(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.bus.up = False
        world.commit("a")
        await turns()
        world.commit("b")
        await asyncio.sleep(0.003)
        assert (world.names_told, world.kept, world.bus.ids) == (["a", "b"], ["a", "b"], [])
        world.bus.up = world.bus.answer_at_once = True
        await world.reporter.publish()
        assert (world.kept, len(world.bus.ids)) == ([], 1)
        world.commit("c")
        await turns()
        assert (world.names_told, len(world.bus.ids), world.kept) == (["a", "b", "c"], 2, [])

    play(story)


@pytest.mark.parametrize(
    "error", [BusUnavailable("no answer"), StreamFull("no room")], ids=["unknown", "full"]
)
def test_one_that_failed_is_told_when_it_is_kept_and_sent_again_under_its_id(
    play: Callable[..., None], error: BusError
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.bus.answer(error=error)
        await turns()
        assert (world.told, world.kept) == ([("a", world.begun)], ["a"])
        world.bus.answer_at_once = True
        await world.reporter.publish()
        first, second = world.bus.ids
        assert (first == second, world.kept) == (True, [])

    play(story)


def test_one_that_can_never_be_stored_is_counted_as_lost_and_told(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a", "b")
        await turns()
        world.bus.answer(error=MessageTooLarge("it is"))
        await turns()
        assert (world.names_told, world.kept, world.reporter.figures.lost) == (["a", "b"], [], 2)
        assert world.registry.get_sample_value("hostler_router_usage_lost_total") == 2

    play(story)


def test_with_a_bound_of_zero_nobody_waits_and_it_is_stored_or_kept_all_the_same(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        assert world.names_told == ["a"]
        await asyncio.sleep(1)
        assert (world.names_told, world.kept) == (["a"], ["a"])

    play(story, timeout_seconds=0)


def test_one_whose_end_fails_does_not_keep_the_others_from_ending(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        def fails() -> None:
            raise RuntimeError("a bug")

        world.commit("a")
        world.reporter.committer.commit("p", "j", record(usage_id="b"), fails)
        world.commit("c")
        await turns()
        world.bus.answer()
        await turns()
        assert world.names_told == ["a", "c"]

    play(story)


def test_what_is_too_much_for_one_message_goes_in_several_with_numbers_of_their_own(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        world.bus.answer_at_once = True
        for number in range(20):
            values = record(usage_id=str(number), request_id="r" * 100_000)
            name = str(number)
            world.reporter.committer.commit("p", "j", values, lambda name=name: world.told.append((name, 0)))
        await turns()
        assert world.names_told == [str(number) for number in range(20)]
        assert list(chain(*world.bus.batches)) == world.names_told
        assert [event.data.number for event, _ in world.bus.sent] == list(range(1, len(world.bus.sent) + 1))
        assert {event.data.writer for event, _ in world.bus.sent} == {"w"}

    play(story)


def test_one_that_can_not_be_written_spoils_no_other(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        world.reporter.committer.commit(
            "p", "j", record(usage_id="bad"), lambda: world.told.append(("bad", 0))
        )
        lane = next(iter(world.reporter.committer._lanes.values()))
        lane.records[1].request_id = "\udc80"
        world.commit("c")
        world.bus.answer_at_once = True
        await turns()
        assert sorted(world.names_told) == ["a", "bad", "c"]
        assert sorted(chain(*world.bus.batches)) == ["a", "c"]
        assert world.reporter.figures.lost == 1

    play(story)


@pytest.mark.parametrize("how", ["no connection", "no answer", "failed", "the end"])
def test_when_somebody_is_told_it_is_on_the_disk_already(play: Callable[..., None], how: str) -> None:
    async def story(world: World) -> None:
        on_the_disk: list[bool] = []

        def told() -> None:
            data = b"".join(path.read_bytes() for path in world.folder.iterdir())
            on_the_disk.append(b'"usage_id":"a"' in data)

        world.bus.up = how != "no connection"
        world.reporter.committer.commit("p", "j", record(usage_id="a"), told)
        await turns()
        if how == "failed":
            world.bus.answer(error=BusUnavailable("no answer"))
        elif how == "the end":
            world.reporter.committer.keep_all()
        await asyncio.sleep(1)
        assert on_the_disk == [True]

    play(story)


def test_at_the_end_what_is_not_answered_is_on_the_disk(play: Callable[..., None]) -> None:
    async def story(world: World) -> None:
        world.commit("a")
        await turns()
        world.commit("b")
        await world.reporter.close()
        assert sorted(world.names_told) == ["a", "b"]
        spool = UsageSpool(
            world.folder, writer="next", bytes_max=2**20, now=time.time, logger=structlog.get_logger()
        )
        assert spool.adopt() == 1
        world.reporter.backlog = type(world.reporter.backlog)(spool, lambda *_: None, lambda _: None)
        assert sorted(world.kept) == ["a", "b"]

    play(story)


def test_what_is_stored_is_counted_with_its_time_and_what_goes_to_the_disk_by_requests(
    play: Callable[..., None],
) -> None:
    async def story(world: World) -> None:
        figure = world.registry.get_sample_value
        world.commit("a", "b")
        await asyncio.sleep(0.1)
        world.bus.answer()
        await asyncio.sleep(0)
        assert figure("hostler_router_usage_commit_seconds_count") == 1
        assert figure("hostler_router_usage_commit_seconds_sum") == pytest.approx(0.1)
        assert figure("hostler_router_usage_spooled_total") == 0
        world.bus.up = False
        world.commit("c", "d", "e")
        await asyncio.sleep(0.01)
        assert figure("hostler_router_usage_spooled_total") == 3
        assert figure("hostler_router_usage_commit_seconds_count") == 1

    play(story)
