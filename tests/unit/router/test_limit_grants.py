"""Grants as values: who gets one, how much, and when the rest is given back."""

import pytest

from hostler_domain.limits import Limits
from hostler_router.limit_grants import PERIOD_SECONDS, REST_SECONDS, Grant, Room, Wanted, given
from hostler_router.limit_rules import Level, Slot, limit_headers, subjects_of


def grant_of(limits: Limits) -> Grant:
    return Grant(limits, None, subjects_of("k", limits, "p", None))


def come(grant: Grant, count: int, now: float, tokens: int = 0) -> list[bool]:
    """So many requests within a period that ends now."""
    let_in = [grant.spend(tokens) for _ in range(count)]
    grant.came_asking(now)
    return let_in


def busy(limits: Limits, *, per_period: int = 50, tokens: int = 0) -> Grant:
    """One whose caller makes so many requests in each period, at 1.0 for the last time."""
    grant = grant_of(limits)
    come(grant, 1, 1.0 - PERIOD_SECONDS - 1e-9)
    come(grant, per_period, 1.0, tokens)
    return grant


def test_a_caller_that_comes_now_and_then_gets_none() -> None:
    grant = grant_of(Limits(100_000))
    for number in range(20):
        assert come(grant, 1, number * PERIOD_SECONDS) == [False]
        assert grant.wants(number * PERIOD_SECONDS, 1) is None


def test_a_quick_one_gets_what_came_in_a_period() -> None:
    grant = busy(Limits(100_000, 10_000_000), tokens=10)
    wanted = grant.wants(1.0, 1)
    assert wanted is not None
    assert (wanted.requests, wanted.tokens) == (50, pytest.approx(500, abs=1))


def test_of_a_limit_all_routers_together_take_a_25th_at_most() -> None:
    grant = busy(Limits(1000))
    assert [wanted and wanted.requests for wanted in (grant.wants(1.0, n) for n in (1, 5, 11))] == [
        40,
        8,
        None,
    ]


def test_of_what_is_left_they_take_a_quarter_at_most_and_nothing_where_that_is_little() -> None:
    limits = Limits(1000, 5000)
    subjects, wanted = subjects_of("k", limits, "p", None), Wanted(40, 100, 4, 10, 4)
    assert given(subjects, [Level(0, 0)], wanted) == Room(40, 100)
    assert given(subjects, [Level(900, 4800)], wanted) == Room(25, 50)
    assert given(subjects, [Level(990, 0)], wanted) == Room()
    assert given(subjects, [Level(0, 4990)], wanted) == Room()


def test_where_there_is_no_room_for_one_it_is_asked_again_after_a_rest() -> None:
    grant = busy(Limits(100_000))
    grant.asked = True
    grant.took(Room(), 1.0)
    assert grant.wants(1.0 + REST_SECONDS * 0.9, 1) is None
    assert grant.wants(1.0 + REST_SECONDS, 1) is not None


def test_more_is_asked_for_when_half_of_it_is_left() -> None:
    grant = busy(Limits(100_000))
    grant.took(Room(50, 0), 1.0)
    assert come(grant, 25, 1.0) == [True] * 25
    assert not grant.low
    assert come(grant, 1, 1.0) == [True]
    assert grant.low
    assert grant.wants(1.0, 1) is not None


def test_the_rest_is_given_back_when_nobody_came_in_a_period() -> None:
    grant = busy(Limits(100_000, 1_000_000), tokens=10)
    grant.took(Room(50, 500), 1.0)
    come(grant, 10, 1.0, 10)
    assert grant.look(1.1) == (Room(), [])
    assert grant.look(1.2) == (Room(40, 400), [])
    assert grant.idle
    assert grant.spend(10) is False


def test_what_is_more_than_two_periods_worth_is_given_back() -> None:
    grant = busy(Limits(100_000, 1_000_000), tokens=10)
    grant.took(Room(500, 5000), 1.0)
    come(grant, 50, 1.0, 10)
    room, _ = grant.look(1.1)
    assert (room.requests, room.tokens) == (500 - 50 - 2 * 50, pytest.approx(5000 - 500 - 2 * 500, abs=1))
    assert (grant.requests, grant.tokens) == (100, 5000 - 500 - room.tokens)


def test_a_request_that_is_larger_than_what_is_left_asks_by_itself() -> None:
    grant = busy(Limits(100_000, 1_000_000), tokens=10)
    grant.took(Room(50, 500), 1.0)
    assert grant.spend(501) is False
    assert grant.spend(500) is True
    assert grant.spend(1) is False


def slot(number: int, grant: Grant) -> Slot:
    return Slot(f"r{number}", grant.subjects)


def test_a_slot_is_kept_for_the_next_request_of_a_quick_caller_and_for_no_other() -> None:
    assert not grant_of(Limits(concurrency=1000)).keeps_slot(1)
    assert not busy(Limits(concurrency=24)).keeps_slot(1), "few slots are counted one by one"
    grant = busy(Limits(concurrency=50))
    for number in range(2):
        assert grant.keeps_slot(1)
        grant.slots.append(slot(number, grant))
    assert not grant.keeps_slot(1)


def test_slots_that_were_free_for_a_period_are_given_back() -> None:
    grant = busy(Limits(concurrency=1000))
    grant.slots = [slot(number, grant) for number in range(3)]
    for now in (1.1, 1.2):
        for _ in range(4):  # one after the other
            assert grant.spend(0)
            grant.slots.append(grant.slots.pop())
        _, unused = grant.look(now)
    assert [each.request for each in unused] == ["r0", "r1"]
    assert [each.request for each in grant.slots] == ["r2"]


def test_without_a_free_slot_a_request_asks_and_uses_up_nothing() -> None:
    grant = busy(Limits(100_000, None, 1000))
    grant.took(Room(50, 0), 1.0)
    assert grant.spend(0) is False
    assert grant.requests == 50


def told_of(grant: Grant, now: float) -> dict[bytes, bytes]:
    """The headers that a grant has written."""
    lines = grant.lines(now).removesuffix(b"\r\n").split(b"\r\n")
    return {name: value for name, _, value in (line.partition(b": ") for line in lines)}


def test_headers_are_those_of_a_bucket_that_holds_what_was_let_in() -> None:
    limits = Limits(6000, 600_000)
    grant = busy(limits, tokens=10)
    grant.took(Room(50, 500), 1.0)
    grant.heard((Level(1050, 10_500),), 1.0)
    for number in range(3):
        assert grant.spend(10)
        right = limit_headers(grant.subjects, (Level(1001 + number, 10_010 + 10 * number),))
        told, expected = told_of(grant, 1.0), dict(right)
        assert told.keys() == expected.keys()
        assert told[b"x-ratelimit-remaining-requests"] == expected[b"x-ratelimit-remaining-requests"]
        assert told[b"x-ratelimit-remaining-tokens"] == expected[b"x-ratelimit-remaining-tokens"]
    # The text of the reset may be a twentieth of a second old.
    assert told_of(grant, 2.0)[b"x-ratelimit-reset-requests"] == b"9.03s"


def test_headers_tell_nothing_of_what_is_not_bounded() -> None:
    grant = busy(Limits(None, 600_000), tokens=10)
    grant.took(Room(0, 500), 1.0)
    grant.heard((Level(0, 500),), 1.0)
    assert grant.spend(10)
    assert told_of(grant, 1.0) == dict(limit_headers(grant.subjects, (Level(0, 10),)))
    assert busy(Limits(concurrency=1000)).lines(1.0) == b""
