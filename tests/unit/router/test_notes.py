"""When requests are put down: soon, many at a time, and after the answers of that turn."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable

import looptime
import structlog
from prometheus_client import CollectorRegistry

from hostler_router.access_log import AccessLog
from hostler_router.exchange import Exchange
from hostler_router.metrics import RouterMetrics
from hostler_router.notes import Notes
from hostler_router.table import RouteTable
from hostler_router.windows import WindowRecorder


class World:
    """Notes whose log is kept in memory."""

    def __init__(self) -> None:
        self.out = io.BytesIO()
        logger = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(0))
        self.notes = Notes(
            RouterMetrics(CollectorRegistry()),
            WindowRecorder(queues=True),
            RouteTable(),
            AccessLog(logger, self.out),
        )
        self.count = 0

    def answer(self, times: int) -> None:
        for _ in range(times):
            self.count += 1
            self.notes.answered(Exchange(f"id-{self.count}", "/v1/completions", 1.0), 0.01)

    @property
    def lines(self) -> list[str]:
        return [json.loads(line)["request_id"] for line in self.out.getvalue().splitlines()]


def play(story: Callable[[World], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story(World())

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(whole())


def ids(first: int, last: int) -> list[str]:
    return [f"id-{number}" for number in range(first, last + 1)]


def test_a_few_wait_for_a_tenth_of_a_second() -> None:
    async def story(world: World) -> None:
        world.answer(3)
        await asyncio.sleep(0.09)
        assert world.lines == []
        await asyncio.sleep(0.02)
        assert world.lines == ids(1, 3)

    play(story)


def test_many_are_put_down_when_the_turn_in_which_they_ended_is_over() -> None:
    async def story(world: World) -> None:
        world.answer(70)
        assert world.lines == []
        await asyncio.sleep(0)
        assert world.lines == ids(1, 70)
        world.answer(1)
        await asyncio.sleep(0.05)
        assert len(world.lines) == 70
        await asyncio.sleep(0.06)
        assert world.lines == ids(1, 71)

    play(story)


def test_who_asks_meanwhile_sees_all_and_nothing_is_put_down_twice() -> None:
    async def story(world: World) -> None:
        world.answer(64)
        world.notes.flush()
        assert world.lines == ids(1, 64)
        world.answer(1)
        await asyncio.sleep(0.2)
        assert world.lines == ids(1, 65)

    play(story)
