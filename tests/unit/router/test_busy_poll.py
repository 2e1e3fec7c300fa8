"""A router that polls busily looks again and again for a moment after each write, and no longer."""

import asyncio
from collections.abc import Callable

from hostler_router.wire.busy_poll import BusyPoll
from hostler_router.wire.outbox import NOT_WAITING, Outbox, loop_outbox

_SECONDS = 0.001


class Loop:
    """Turns of an event loop, each of a tenth of a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[Callable[[], None]] = []

    def soon(self, call: Callable[[], None]) -> None:
        self.due.append(call)

    def turns_until_asleep(self) -> int:
        """How many turns it takes until the loop has nothing to do."""
        turns = 0
        while self.due:
            due, self.due = self.due, []
            for call in due:
                call()
            self.now += 0.0001
            turns += 1
        return turns


def test_it_sleeps_until_something_is_written_and_again_a_moment_later() -> None:
    loop = Loop()
    poll = BusyPoll(loop.soon, lambda: loop.now, _SECONDS)
    assert loop.due == []
    poll.stir()
    assert 10 <= loop.turns_until_asleep() <= 12
    poll.stir()
    assert 10 <= loop.turns_until_asleep() <= 12


def test_each_write_keeps_it_awake_for_the_whole_moment_and_only_one_look_waits_at_a_time() -> None:
    loop = Loop()
    poll = BusyPoll(loop.soon, lambda: loop.now, _SECONDS)
    poll.stir()
    for _ in range(30):
        poll.stir()
        poll.stir()
        (look,), loop.due = loop.due, []
        look()
        loop.now += 0.0009
    assert 1 <= loop.turns_until_asleep() <= 2


class Line(asyncio.Transport):
    """A transport that takes everything."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take it."""


def test_a_write_stirs_it_and_goes_out_as_ever() -> None:
    loop = Loop()
    outbox = Outbox(loop.soon, lambda: loop.now, busy=BusyPoll(loop.soon, lambda: loop.now, _SECONDS))
    assert outbox.put(Line(), b"a") == NOT_WAITING
    assert loop.turns_until_asleep() >= 10


def test_an_event_loop_sleeps_between_writes_unless_it_is_told_to_poll() -> None:
    async def turns_after_a_write(busy_poll_seconds: float) -> int:
        running = asyncio.get_running_loop()
        time, turns = 0.0, 0

        def now() -> float:
            nonlocal time, turns
            time, turns = time + 0.0001, turns + 1
            return time

        outbox = loop_outbox(now, busy_poll_seconds=busy_poll_seconds)
        before = turns
        outbox.put(Line(), b"a")
        for _ in range(40):
            await asyncio.sleep(0)
        assert running.is_running()
        return turns - before

    assert asyncio.run(turns_after_a_write(0.0)) == 0
    assert 10 <= asyncio.run(turns_after_a_write(_SECONDS)) <= 12
