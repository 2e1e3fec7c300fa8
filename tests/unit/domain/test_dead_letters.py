"""What becomes of a dead letter: every state meets everything that can happen to it, and no notice counts twice."""

from datetime import timedelta

import pytest

from hostler_domain.dead_letters import (
    TRANSITIONS,
    DeadLetter,
    LetterEvent,
    LetterState,
    Notice,
    Source,
    discarded,
    given_up,
    replayed,
    source_of,
)
from hostler_domain.errors import Conflict, NotFound
from tests.support.builders import NOW

SOURCE = Source("JOBS", "ledger", 42)


def notice(seq: int, reason: str = "no such price") -> Notice:
    return Notice(seq, NOW + timedelta(seconds=seq), 3, reason)


def letter(state: LetterState = LetterState.WAITING) -> DeadLetter:
    made = given_up(None, notice(7), SOURCE, "hostler.jobs.p.j.replica-ready", NOW)
    assert made is not None
    match state:
        case LetterState.WAITING:
            return made
        case LetterState.REPLAYED:
            after = replayed(made, at=NOW, by="key-1")
        case LetterState.DISCARDED:
            after = discarded(made, at=NOW, by="key-1")
    assert after is not None
    return after


def outcome(state: LetterState, event: LetterEvent) -> LetterState | None:
    """The state afterwards; None where it is refused."""
    before = letter(state)
    try:
        match event:
            case LetterEvent.GIVEN_UP:
                after = given_up(before, notice(8), SOURCE, before.subject, before.stored_at)
            case LetterEvent.REPLAYED:
                after = replayed(before, at=NOW, by="key-2")
            case LetterEvent.DISCARDED:
                after = discarded(before, at=NOW, by="key-2")
    except Conflict:
        return None
    return (after or before).state


@pytest.mark.parametrize("event", LetterEvent)
@pytest.mark.parametrize("state", LetterState)
def test_every_state_meets_every_event_as_the_table_says(state: LetterState, event: LetterEvent) -> None:
    assert outcome(state, event) == TRANSITIONS.get((state, event))


@pytest.mark.parametrize("seq", [7, 6, 1])
@pytest.mark.parametrize("state", LetterState)
def test_a_notice_that_was_counted_or_is_older_says_nothing_new(state: LetterState, seq: int) -> None:
    assert given_up(letter(state), notice(seq), SOURCE, "s", NOW) is None


def test_a_letter_that_comes_back_counts_the_failures_and_keeps_what_it_is_about() -> None:
    before = letter(LetterState.REPLAYED)
    after = given_up(before, notice(9, "still none"), Source("REPLAYS", "x", 1), "hostler.replays.x", None)
    assert after is not None
    assert (after.source, after.subject, after.stored_at) == (SOURCE, before.subject, NOW)
    assert (after.failures, after.replays, after.reason, after.advisory_seq) == (2, 1, "still none", 9)


def test_what_is_asked_for_again_changes_nothing_not_even_who_did_it() -> None:
    assert replayed(letter(LetterState.REPLAYED), at=NOW, by="key-2") is None
    assert discarded(letter(LetterState.DISCARDED), at=NOW, by="key-2") is None


def test_a_name_says_what_the_letter_is_about() -> None:
    assert source_of(SOURCE.letter_id) == SOURCE


@pytest.mark.parametrize(
    "name", ["", "JOBS", "JOBS.ledger", "JOBS.ledger.x", "JOBS.ledger.4.2", ".ledger.4", "JOBS..4"]
)
def test_what_is_no_name_of_a_letter_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        source_of(name)
