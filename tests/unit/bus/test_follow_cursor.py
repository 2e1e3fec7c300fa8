from datetime import UTC, datetime, timedelta

import pytest

from hostler_bus.follow_cursor import Cursor, StreamView, delivered, opened, opening
from hostler_bus.port import FromSequence, LastPerSubject, OnlyNew, SinceTime, Start

MADE = datetime(2026, 1, 1, tzinfo=UTC)
STREAM = StreamView(MADE, last_seq=10)
LONGER = StreamView(MADE, last_seq=20)
ANOTHER = StreamView(MADE + timedelta(hours=1), last_seq=3)


def begun(start: Start, pending: int) -> Cursor:
    return opened(Cursor(start), STREAM, pending)[0]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (FromSequence(4), FromSequence(4)),
        (LastPerSubject(), LastPerSubject()),
        (SinceTime(MADE), SinceTime(MADE)),
        (OnlyNew(), FromSequence(11)),
    ],
)
def test_the_first_opening_reads_as_it_was_asked(start: Start, expected: Start) -> None:
    assert opening(Cursor(start), STREAM) == expected


@pytest.mark.parametrize("start", [FromSequence(4), LastPerSubject(), OnlyNew(), SinceTime(MADE)])
def test_after_a_message_it_goes_on_behind_it(start: Start) -> None:
    cursor, _ = delivered(begun(start, 2), seq=7, pending=1)
    assert opening(cursor, LONGER) == FromSequence(8)


@pytest.mark.parametrize("start", [FromSequence(4), LastPerSubject(), OnlyNew(), SinceTime(MADE)])
def test_where_nothing_was_wanted_it_goes_on_behind_the_end_that_it_saw(start: Start) -> None:
    assert opening(begun(start, 0), LONGER) == FromSequence(11)


def test_a_start_in_the_future_is_not_forgotten() -> None:
    assert opening(begun(FromSequence(15), 0), LONGER) == FromSequence(15)


def test_opened_but_without_a_message_it_begins_again() -> None:
    assert opening(begun(LastPerSubject(), 3), LONGER) == LastPerSubject()


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (FromSequence(4), FromSequence(1)),
        (OnlyNew(), FromSequence(1)),
        (SinceTime(MADE), FromSequence(1)),
        (LastPerSubject(), LastPerSubject()),
    ],
)
def test_another_stream_under_the_name_is_read_from_its_beginning(start: Start, expected: Start) -> None:
    cursor, _ = delivered(begun(start, 1), seq=7, pending=0)
    assert opening(cursor, ANOTHER) == expected
    empty, _ = opened(cursor, StreamView(ANOTHER.created, 0), 0)
    assert empty.next_seq == 1


def test_caught_up_is_told_once_when_the_last_that_was_due_has_come() -> None:
    cursor, at_once = opened(Cursor(LastPerSubject()), STREAM, 2)
    # New messages keep coming behind, so `pending` never falls to nothing.
    cursor, first = delivered(cursor, seq=3, pending=5)
    cursor, second = delivered(cursor, seq=9, pending=5)
    cursor, third = delivered(cursor, seq=11, pending=5)
    cursor, again = opened(cursor, LONGER, 0)
    assert (at_once, first, second, third, again) == (False, False, True, False, False)


def test_caught_up_is_told_when_some_that_were_due_were_removed() -> None:
    cursor, _ = opened(Cursor(LastPerSubject()), STREAM, 5)
    assert delivered(cursor, seq=9, pending=0)[1]


def test_caught_up_is_told_at_once_where_there_is_nothing() -> None:
    assert opened(Cursor(OnlyNew()), STREAM, 0)[1]
