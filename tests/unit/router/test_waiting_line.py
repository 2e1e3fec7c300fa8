from itertools import pairwise
from random import Random

import pytest

from hostler_router.waiting_line import BATCH_TURN, Ticket, WaitingLine


def join(
    line: WaitingLine[str], waiter: str, *, priority: int = 0, now: float = 0, deadline: float = 100
) -> Ticket[str] | None:
    """A waiter whose name begins with b is a batch's."""
    return line.join(waiter, batch=waiter.startswith("b"), priority=priority, now=now, deadline=deadline)


def turns(line: WaitingLine[str], now: float = 0) -> list[str]:
    called = []
    while (waiter := line.next(now)) is not None:
        called.append(waiter)
    return called


def test_who_came_first_goes_first() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    for waiter in ("i1", "i2", "i3"):
        join(line, waiter)
    assert turns(line) == ["i1", "i2", "i3"]


def test_interactive_requests_go_before_a_batch_and_low_numbers_before_high_ones() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    for waiter, priority in (("b1", -5), ("i1", 1), ("b2", -9), ("i2", 0), ("i3", 0)):
        join(line, waiter, priority=priority)
    assert turns(line) == ["i2", "i3", "i1", "b2", "b1"]


def test_a_full_line_takes_nobody_in() -> None:
    line: WaitingLine[str] = WaitingLine(2)
    assert join(line, "i1") is not None
    assert join(line, "i2") is not None
    assert (join(line, "i3"), join(line, "b1"), len(line)) == (None, None, 2)


def test_a_line_without_places_takes_nobody_in() -> None:
    assert join(WaitingLine(0), "i1") is None


def test_in_a_full_line_the_newest_batch_request_gives_its_place_to_an_interactive_one() -> None:
    line: WaitingLine[str] = WaitingLine(3)
    tickets = {waiter: join(line, waiter) for waiter in ("b1", "b2", "b3")}
    ticket = join(line, "i1")
    assert ticket is not None
    assert ticket.evicted == "b3"
    lost = tickets["b3"]
    assert lost is not None
    assert (lost.waiting, line.leave(lost), len(line)) == (False, False, 3)
    assert turns(line) == ["i1", "b1", "b2"]


def test_of_batch_requests_the_least_urgent_gives_its_place_up() -> None:
    line: WaitingLine[str] = WaitingLine(3)
    for waiter, priority in (("b1", 0), ("b2", 7), ("b3", 0)):
        join(line, waiter, priority=priority)
    ticket = join(line, "i1")
    assert ticket is not None
    assert ticket.evicted == "b2"


def test_a_batch_request_puts_nobody_out() -> None:
    line: WaitingLine[str] = WaitingLine(1)
    join(line, "b1")
    assert join(line, "b2", priority=-100) is None


def test_nobody_is_put_out_while_there_is_room() -> None:
    line: WaitingLine[str] = WaitingLine(2)
    join(line, "b1")
    ticket = join(line, "i1")
    assert ticket is not None
    assert ticket.evicted is None


def test_a_batch_gets_every_eighth_turn_under_steady_traffic() -> None:
    line: WaitingLine[str] = WaitingLine(100)
    for number in range(30):
        join(line, f"i{number}")
        join(line, f"b{number}")
    places = [index for index, waiter in enumerate(turns(line)) if waiter.startswith("b")][:4]
    assert places[0] == BATCH_TURN - 1
    assert [later - earlier for earlier, later in pairwise(places)][:2] == [BATCH_TURN, BATCH_TURN]


def test_turns_before_a_batch_waited_do_not_count_for_it() -> None:
    line: WaitingLine[str] = WaitingLine(100)
    for number in range(20):
        join(line, f"i{number}")
    for _ in range(BATCH_TURN + 2):
        line.next(0)
    join(line, "b0")
    assert line.next(0) == f"i{BATCH_TURN + 2}"


def test_who_leaves_gets_no_turn() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    join(line, "i1")
    ticket = join(line, "i2")
    join(line, "i3")
    assert ticket is not None
    assert (line.leave(ticket), line.leave(ticket)) == (True, False)
    assert turns(line) == ["i1", "i3"]


def test_a_place_that_was_left_can_be_taken() -> None:
    line: WaitingLine[str] = WaitingLine(1)
    ticket = join(line, "i1")
    assert ticket is not None
    line.leave(ticket)
    assert join(line, "i2") is not None


def test_who_waited_in_vain_is_told_once_and_gets_no_turn() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    for waiter, deadline in (("i1", 5), ("i2", 9), ("b1", 3)):
        join(line, waiter, deadline=deadline)
    assert line.next_deadline == 3
    assert line.expire(2.9) == []
    assert line.expire(5) == ["b1", "i1"]
    assert (line.expire(5), line.next_deadline, len(line)) == ([], 9, 1)


def test_who_is_past_the_deadline_gets_no_turn_before_being_told() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    join(line, "i1", deadline=5)
    join(line, "i2", deadline=9)
    assert line.next(5) == "i2"
    assert line.next(5) is None
    assert line.expire(5) == ["i1"]


def test_a_deadline_may_be_infinite() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    line.join("i1", batch=False, priority=0, now=0)
    assert (line.next_deadline, line.expire(1e12), line.next(1e12)) == (None, [], "i1")


def test_the_age_is_that_of_the_longest_waiting() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    assert line.oldest_age(3) == 0
    join(line, "b1", now=1)
    join(line, "i1", now=2)
    assert line.oldest_age(4) == 3
    line.next(4)
    assert line.oldest_age(4) == 3
    line.next(4)
    assert line.oldest_age(4) == 0


def test_everybody_can_be_sent_away() -> None:
    line: WaitingLine[str] = WaitingLine(10)
    tickets = [join(line, waiter) for waiter in ("b1", "i1", "b2")]
    assert line.clear() == ["b1", "i1", "b2"]
    assert [ticket is not None and ticket.waiting for ticket in tickets] == [False, False, False]
    assert (line.next(0), line.next_deadline, len(line)) == (None, None, 0)


@pytest.mark.parametrize("kind", ["i", "b"])
def test_who_has_left_is_not_remembered_for_ever(kind: str) -> None:
    line: WaitingLine[str] = WaitingLine(10)
    join(line, kind, priority=-1)
    for number in range(5000):
        ticket = join(line, f"{kind}{number}")
        assert ticket is not None
        line.leave(ticket)
    heaps = (line._interactive, line._batch, line._batch_last, line._deadlines)
    assert max(len(heap) for heap in heaps) < 100


def test_the_order_holds_after_most_have_left() -> None:
    line: WaitingLine[str] = WaitingLine(1000)
    rng = Random(3)
    stay = []
    for number in range(1000):
        priority = rng.randrange(10_000)
        ticket = join(line, f"i{number}", priority=priority)
        assert ticket is not None
        if rng.randrange(10):
            line.leave(ticket)
        else:
            stay.append((priority, number))
    assert turns(line) == [f"i{number}" for _, number in sorted(stay)]
