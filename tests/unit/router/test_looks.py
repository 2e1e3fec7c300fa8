"""Whoever is looked at together is asked in time, and not after its end."""

from collections.abc import Callable

import pytest

from hostler_router.looks import Looks
from hostler_router.timer_wheel import TimerWheel

PERIOD_SECONDS = 5.0


class Item:
    """Something with a deadline."""

    def __init__(self, due: float = 1e9, when_asked: Callable[[], None] = lambda: None) -> None:
        self.due = due
        self.asked: list[float] = []
        self._when_asked = when_asked

    def due_again(self, now: float) -> float | None:
        self.asked.append(now)
        self._when_asked()
        return None if now >= self.due else min(self.due, now + PERIOD_SECONDS)


class Time:
    """A wheel that is turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wheel = TimerWheel(tick_seconds=0.05)
        self.looks = Looks(self.wheel, PERIOD_SECONDS, lambda: self.now)

    def pass_until(self, moment: float) -> None:
        while self.now < moment:
            self.now = min(self.now + 0.05, moment)
            self.wheel.advance(self.now)


@pytest.fixture
def time() -> Time:
    return Time()


def test_an_item_is_asked_within_a_period_and_then_at_its_deadline(time: Time) -> None:
    item = Item(due=107.3)
    time.looks.begin(item)
    time.pass_until(107.2)
    assert len(item.asked) == 1
    assert 100 < item.asked[0] <= 105.1
    time.pass_until(107.5)
    assert 107.3 <= item.asked[1] <= 107.41
    time.pass_until(120)
    assert len(item.asked) == 2
    assert item not in time.looks


def test_one_that_has_ended_is_not_asked_wherever_it_was(time: Time) -> None:
    early, late = Item(), Item(due=107.3)
    time.looks.begin(early)
    time.looks.begin(late)
    time.looks.end(early)
    time.pass_until(106)
    time.looks.end(late)  # it lies in the wheel by now
    time.pass_until(120)
    assert (early.asked, len(late.asked)) == ([], 1)
    assert len(time.wheel) == 0


def test_one_that_ends_another_while_they_are_looked_at(time: Time) -> None:
    items: list[Item] = []
    items += [
        Item(when_asked=lambda: time.looks.end(items[1])),
        Item(when_asked=lambda: time.looks.end(items[0])),
    ]
    for item in items:
        time.looks.begin(item)
    time.pass_until(105.2)
    assert sorted(len(item.asked) for item in items) == [0, 1]
    time.pass_until(110.5)
    assert sorted(len(item.asked) for item in items) == [0, 2]


def test_one_that_begins_when_there_was_nothing_is_looked_at_again(time: Time) -> None:
    for _ in range(3):
        item = Item()
        time.looks.begin(item)
        time.pass_until(time.now + PERIOD_SECONDS + 0.1)
        assert item.asked
        time.looks.end(item)
        time.pass_until(time.now + 2 * PERIOD_SECONDS)
        assert len(time.wheel) == 0


def test_one_that_fails_is_forgotten_and_the_others_are_looked_at(time: Time) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    items = [Item(when_asked=fail), Item(), Item()]
    for item in items:
        time.looks.begin(item)
    with pytest.raises(RuntimeError, match="a bug"):
        time.pass_until(105.2)
    time.pass_until(105.4)
    assert [bool(item.asked) for item in items] == [True, True, True]
    assert items[0] not in time.looks
    assert items[1] in time.looks
