"""A dead letter: a message that a consumer has given up, and what was done about it since.

It is named after what it concerns, the stream, the consumer and the message's sequence, so a message that one consumer gives up is
one letter however often it is told. The bus collects them and carries out what is decided here; people read and replay them
through the api.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from hostler_domain.errors import Conflict, NotFound


class LetterState(StrEnum):
    """Where a letter is."""

    WAITING = "Waiting"
    """Nobody has dealt with it."""
    REPLAYED = "Replayed"
    """It was handed to its consumer again, and has not come back."""
    DISCARDED = "Discarded"
    """Somebody has decided that it needs nothing."""


class LetterEvent(StrEnum):
    """What can happen to a letter."""

    GIVEN_UP = "given_up"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


_S = LetterState
_E = LetterEvent

TRANSITIONS: Mapping[tuple[LetterState, LetterEvent], LetterState] = MappingProxyType(
    {
        (_S.WAITING, _E.GIVEN_UP): _S.WAITING,
        (_S.WAITING, _E.REPLAYED): _S.REPLAYED,
        (_S.WAITING, _E.DISCARDED): _S.DISCARDED,
        (_S.REPLAYED, _E.GIVEN_UP): _S.WAITING,
        # Asked for again, perhaps because the first answer was lost: it is on its way.
        (_S.REPLAYED, _E.REPLAYED): _S.REPLAYED,
        (_S.DISCARDED, _E.GIVEN_UP): _S.WAITING,
        (_S.DISCARDED, _E.REPLAYED): _S.REPLAYED,
        (_S.DISCARDED, _E.DISCARDED): _S.DISCARDED,
    }
)
"""What has no row is refused: a letter on its way to its consumer can't be discarded."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which message whose consumer gave up.

    Attributes:
        stream: Where the message is.
        consumer: Who gave it up.
        seq: The message's sequence there.
    """

    stream: str
    consumer: str
    seq: int

    @property
    def letter_id(self) -> str:
        """Name of the letter."""
        return f"{self.stream}.{self.consumer}.{self.seq}"


@dataclass(frozen=True, slots=True)
class Notice:
    """The server says that a consumer has given a message up.

    Attributes:
        advisory_seq: The notice's own place among all; a later one has a larger.
        at: When it was written.
        deliveries: How often the message had been delivered.
        reason: In the consumer's words, where it gave any.
    """

    advisory_seq: int
    at: datetime
    deliveries: int
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One letter as it is now.

    Attributes:
        source: Which message whose consumer gave up.
        subject: Of the message; empty where the stream had lost it before the letter was made.
        stored_at: When the message was stored.
        state: Where the letter is.
        failures: How often the consumer has given the message up, replays included.
        deliveries: How often it was delivered before it was given up the last time.
        reason: Why, the last time.
        given_up_at: When, the last time.
        advisory_seq: Of the latest notice that it was made from.
        replays: How often it was handed to its consumer again.
        handled_at: When it was last replayed or discarded.
        handled_by: Id of the API key that did so.
    """

    source: Source
    subject: str
    stored_at: datetime | None
    state: LetterState
    failures: int
    deliveries: int
    reason: str
    given_up_at: datetime
    advisory_seq: int
    replays: int = 0
    handled_at: datetime | None = None
    handled_by: str | None = None


def source_of(letter_id: str) -> Source:
    """What a letter's name says.

    Raises:
        NotFound: it is no name of a letter.
    """
    match letter_id.split("."):
        case [stream, consumer, seq] if stream and consumer and seq.isascii() and seq.isdecimal():
            return Source(stream, consumer, int(seq))
    raise NotFound(f"there is no dead letter {letter_id!r}")


def given_up(
    letter: DeadLetter | None, notice: Notice, source: Source, subject: str, stored_at: datetime | None
) -> DeadLetter | None:
    """The letter after a notice; None where the notice says nothing new, because it or a later one was counted already."""
    if letter is None:
        return DeadLetter(
            source=source,
            subject=subject,
            stored_at=stored_at,
            state=LetterState.WAITING,
            failures=1,
            deliveries=notice.deliveries,
            reason=notice.reason,
            given_up_at=notice.at,
            advisory_seq=notice.advisory_seq,
        )
    if notice.advisory_seq <= letter.advisory_seq:
        return None
    return replace(
        letter,
        state=_after(letter, LetterEvent.GIVEN_UP),
        failures=letter.failures + 1,
        deliveries=notice.deliveries,
        reason=notice.reason,
        given_up_at=notice.at,
        advisory_seq=notice.advisory_seq,
    )


def replayed(letter: DeadLetter, *, at: datetime, by: str) -> DeadLetter | None:
    """The letter after it was handed to its consumer again; None where it is on its way already."""
    state = _after(letter, LetterEvent.REPLAYED)
    if state is letter.state:
        return None
    return replace(letter, state=state, replays=letter.replays + 1, handled_at=at, handled_by=by)


def discarded(letter: DeadLetter, *, at: datetime, by: str) -> DeadLetter | None:
    """The letter after somebody decided that it needs nothing; None where somebody did already.

    Raises:
        Conflict: it is on its way to its consumer.
    """
    state = _after(letter, LetterEvent.DISCARDED)
    if state is letter.state:
        return None
    return replace(letter, state=state, handled_at=at, handled_by=by)


def _after(letter: DeadLetter, event: LetterEvent) -> LetterState:
    state = TRANSITIONS.get((letter.state, event))
    if state is None:
        raise Conflict(f"dead letter {letter.source.letter_id} is {letter.state} and can't be {event} now")
    return state
