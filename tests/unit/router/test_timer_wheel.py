from math import ceil, inf, nextafter

import pytest

from hostler_router.timer_wheel import TimerWheel

TICK = 0.25


class Deadline:
    """An item that notes when it was asked, and names the times it was made with, one after another."""

    def __init__(self, *again: float | None) -> None:
        self.again = list(again)
        self.asked: list[float] = []

    def due_again(self, now: float) -> float | None:
        self.asked.append(now)
        return self.again.pop(0) if self.again else None


def advance_to(wheel: TimerWheel, end: float) -> None:
    for tick in range(int(end / TICK) + 1):
        wheel.advance(tick * TICK)


def test_an_item_is_asked_once_when_its_time_has_come() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline()
    wheel.arm(item, 1.1)
    wheel.advance(1.05)
    assert item.asked == []
    advance_to(wheel, 5)
    assert item.asked == [1.25]
    assert item not in wheel
    assert len(wheel) == 0


def test_an_item_that_names_a_later_time_is_asked_again_then() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline(2.5, None)
    wheel.arm(item, 1)
    advance_to(wheel, 9)
    assert item.asked == [1, 2.5]


def test_an_item_armed_earlier_than_before_is_asked_at_the_earlier_time_alone() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline()
    wheel.arm(item, 5)
    wheel.arm(item, 1)
    advance_to(wheel, 9)
    assert item.asked == [1]


def test_an_item_armed_later_than_before_is_asked_at_the_later_time_alone() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline()
    wheel.arm(item, 1)
    wheel.arm(item, 5)
    advance_to(wheel, 9)
    assert item.asked == [5]


def test_a_time_that_is_many_turns_away_is_waited_for() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline()
    wheel.arm(item, 100)
    advance_to(wheel, 99.75)
    assert item.asked == []
    wheel.advance(100)
    assert item.asked == [100]


def test_a_disarmed_item_is_not_asked() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline()
    wheel.disarm(item)
    wheel.arm(item, 1)
    wheel.disarm(item)
    advance_to(wheel, 9)
    assert item.asked == []


def test_an_item_with_infinite_time_is_never_asked() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline()
    wheel.arm(item, 1)
    wheel.arm(item, inf)
    advance_to(wheel, 9)
    assert (item.asked, len(wheel)) == ([], 0)


def test_a_time_that_is_past_already_comes_with_the_next_tick() -> None:
    wheel, item = TimerWheel(TICK, 8), Deadline()
    wheel.advance(1_000_000)
    wheel.arm(item, 3)
    wheel.advance(1_000_000.25)
    assert item.asked == [1_000_000.25]


def test_an_item_that_always_names_the_present_is_asked_once_a_tick() -> None:
    class Restless(Deadline):
        def due_again(self, now: float) -> float | None:
            super().due_again(now)
            return now

    wheel, item = TimerWheel(TICK, 8), Restless()
    wheel.arm(item, 0.25)
    advance_to(wheel, 1)
    assert item.asked == [0.25, 0.5, 0.75, 1]


def test_a_wheel_that_stood_still_for_turns_makes_up_for_all_of_them() -> None:
    wheel, items = TimerWheel(TICK, 8), [Deadline() for _ in range(20)]
    for number, item in enumerate(items):
        wheel.arm(item, number)
    wheel.advance(0)
    wheel.advance(18)
    assert [item.asked for item in items] == [[0]] + [[18]] * 18 + [[]]


def test_an_item_may_disarm_another_that_is_due_at_the_same_time() -> None:
    wheel = TimerWheel(TICK, 8)

    class Rival(Deadline):
        def due_again(self, now: float) -> float | None:
            wheel.disarm(second if self is first else first)
            return super().due_again(now)

    first, second = Rival(), Rival()
    wheel.arm(first, 1)
    wheel.arm(second, 1)
    advance_to(wheel, 9)
    assert sorted([first.asked, second.asked]) == [[], [1]]


def test_an_item_that_raises_costs_the_others_no_deadline() -> None:
    class Broken(Deadline):
        def due_again(self, now: float) -> float | None:
            raise RuntimeError("broken")

    wheel, broken, before, after, later = TimerWheel(TICK, 8), Broken(), Deadline(), Deadline(), Deadline()
    for item, due in ((before, 1), (broken, 1), (after, 1), (later, 1.25)):
        wheel.arm(item, due)
    with pytest.raises(RuntimeError):
        wheel.advance(1.25)
    wheel.advance(1.5)
    assert broken not in wheel
    assert [len(item.asked) for item in (before, after, later)] == [1, 1, 1]


def test_where_rounding_would_have_an_item_asked_early_it_comes_with_the_next_tick() -> None:
    tick = 0.05
    rounded = [
        (nextafter(due, 0), due)
        for due in (number * tick for number in range(1, 1000))
        if int(nextafter(due, 0) / tick) >= ceil(due / tick)
    ]
    assert rounded
    for early, due in rounded:
        wheel, item = TimerWheel(tick), Deadline()
        wheel.arm(item, due)
        wheel.advance(early)
        assert item.asked == []
        wheel.advance(early + 1.5 * tick)
        assert len(item.asked) == 1
