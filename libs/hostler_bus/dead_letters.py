"""Collecting what consumers have given up, and dealing with it: the book of dead letters.

The server tells of a message that was given up in an advisory and keeps nothing else. `collect` reads the advisories as a durable
consumer, so any number of processes may run it and each advisory is worked off by one, and copies the message. The book is the
stream DEADLETTERS, in which each letter has a subject of its own and is changed by compare-and-set. Whatever is killed between two
steps, the next try finds how far it got: what was counted is not counted twice, what was handed over is handed over once within
two minutes and is after that a message that its consumer has seen, which it has to be able to bear anyway.

The api runs the collector and asks the book; nobody else does.
"""

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from hostler_bus.consume import consume
from hostler_bus.errors import SequenceConflict
from hostler_bus.permissions import COLLECTOR
from hostler_bus.port import Bus, ConsumerSpec, Expect, Message
from hostler_bus.reading import message_at
from hostler_contracts import subjects
from hostler_contracts.dead_letters import (
    BODY_BYTES_MAX,
    Copied,
    DeadLetterDiscardedV1,
    DeadLetterGivenUpV1,
    DeadLetterReplayedV1,
    LetterEventV1,
    LetterFact,
    Replay,
    ReplayRequestedV1,
    UndecodableLetter,
    decode_advisory,
    decode_letter,
    decode_replay,
)
from hostler_contracts.envelope import CloudEvent
from hostler_domain import dead_letters
from hostler_domain.dead_letters import DeadLetter, Notice, Source
from hostler_domain.errors import Conflict, NotFound, TemporaryError
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id as make_id
from hostler_kit.logs import Logger

_RACES_MAX = 20
_DELIVERIES_MAX = 1_000_000
"""An advisory is never given up: there is nobody who would collect it."""
_NOBODY = "-"
"""In the project of an event that belongs to none."""

ADVISORIES = ConsumerSpec(
    COLLECTOR, subjects.DEAD_LETTER_ADVISORIES, ">", ack_wait_seconds=30.0, deliveries_max=_DELIVERIES_MAX
)


@dataclass(frozen=True, slots=True)
class LetterEntry:
    """A letter as of one message of the book.

    Attributes:
        letter: The letter.
        message: What was given up.
        seq: The message's sequence in the book, which the next append expects to find.
    """

    letter: DeadLetter
    message: Copied
    seq: int


def letter_entry(message: Message) -> LetterEntry:
    """The letter that a message of the book carries.

    Raises:
        UndecodableLetter: it carries none.
    """
    fact = decode_letter(message.data).data
    return LetterEntry(fact.letter, fact.message, message.seq)


class _Attributes(TypedDict):
    id: str
    source: str
    subject: str
    time: datetime
    project: str


class DeadLetterBook:
    """Reading and changing letters, for one process."""

    def __init__(self, bus: Bus, *, source: str, clock: Clock, new_id: Callable[[], str] = make_id) -> None:
        """Open the book.

        Args:
            bus: Where it is.
            source: Name of the writer in every event, such as `/hostler/api/api-1`.
            clock: For the events' time.
            new_id: For the events' ids.
        """
        self._bus = bus
        self._source = source
        self._clock = clock
        self._new_id = new_id

    async def load(self, letter_id: str) -> LetterEntry:
        """The letter as it is now.

        Raises:
            NotFound: there is none.
        """
        entry = None
        with suppress(subjects.BadToken):
            entry = await self._load(dead_letters.source_of(letter_id))
        if entry is None:
            raise NotFound(f"there is no dead letter {letter_id!r}")
        return entry

    async def give_up(self, advisory: Message) -> DeadLetter | None:
        """Take in what the server says; None where it was taken in before.

        Raises:
            UndecodableLetter: it says nothing about a message that was given up.
        """
        told = decode_advisory(advisory.data)
        found = await message_at(self._bus, told.stream, told.stream_seq)
        source = Source(told.stream, told.consumer, told.stream_seq)
        subject, stored_at = (found.subject, found.time) if found else ("", None)
        copied = _copy(found)
        if (
            told.stream == subjects.REPLAYS
            and found is not None
            and (replay := _replay_in(found)) is not None
        ):
            # A letter that was replayed and has come back: it is still about the message that it was made for.
            source, subject, stored_at = replay.source, replay.subject, replay.stored_at
            copied = replay.message
        notice = Notice(
            advisory.seq,
            advisory.time,
            told.deliveries,
            told.reason or f"{told.deliveries} deliveries failed",
        )
        for _ in range(_RACES_MAX):
            entry = await self._load(source)
            known = entry.letter if entry else None
            letter = dead_letters.given_up(known, notice, source, subject, stored_at)
            if letter is None:
                return None
            fact = LetterFact(letter=letter, message=entry.message if entry else copied)
            if await self._stored(entry, DeadLetterGivenUpV1, fact):
                return letter
        raise _restless(source)

    async def replay(self, letter_id: str, *, by: str) -> DeadLetter:
        """Hand the message to its consumer again; one that is on its way already stays so.

        Raises:
            NotFound: there is no such letter.
            Conflict: the message is gone.
        """
        for _ in range(_RACES_MAX):
            entry = await self.load(letter_id)
            letter = dead_letters.replayed(entry.letter, at=self._clock.now(), by=by)
            if letter is None:
                return entry.letter
            # First the message and then the fact: who is killed between the two leaves a letter that can be replayed again.
            await self._hand_over(letter, entry.message)
            if await self._stored(
                entry, DeadLetterReplayedV1, LetterFact(letter=letter, message=entry.message)
            ):
                return letter
        raise _restless(entry.letter.source)

    async def discard(self, letter_id: str, *, by: str) -> DeadLetter:
        """Note that a letter needs nothing.

        Raises:
            NotFound: there is no such letter.
            Conflict: it is on its way to its consumer.
        """
        for _ in range(_RACES_MAX):
            entry = await self.load(letter_id)
            letter = dead_letters.discarded(entry.letter, at=self._clock.now(), by=by)
            if letter is None:
                return entry.letter
            if await self._stored(
                entry, DeadLetterDiscardedV1, LetterFact(letter=letter, message=entry.message)
            ):
                return letter
        raise _restless(entry.letter.source)

    async def _load(self, source: Source) -> LetterEntry | None:
        message = await self._bus.last(subjects.DEAD_LETTERS, _subject(source))
        return None if message is None else letter_entry(message)

    async def _hand_over(self, letter: DeadLetter, message: Copied) -> None:
        source = letter.source
        gone = message.body is None and await message_at(self._bus, source.stream, source.seq) is None
        if gone or letter.stored_at is None:
            raise Conflict(f"message {source.seq} of {source.stream} is gone and can't be replayed")
        wish = ReplayRequestedV1(
            **self._attributes(source),
            data=Replay(source=source, subject=letter.subject, stored_at=letter.stored_at, message=message),
        )
        await self._bus.append(
            subjects.replays(source.stream, source.consumer),
            wish.model_dump_json().encode(),
            # Of two who replay at once, or one who does again after he was killed, one is heard.
            msg_id=f"{source.letter_id}.{letter.replays}",
        )

    async def _stored(self, entry: LetterEntry | None, kind: type[LetterEventV1], fact: LetterFact) -> bool:
        """Append what happened to a letter; False when somebody else was faster."""
        source = fact.letter.source
        event = kind(**self._attributes(source), data=fact)
        try:
            await self._bus.append(
                _subject(source),
                _encoded(event),
                msg_id=event.id,
                expect=Expect(entry.seq if entry else 0, _subject(source)),
            )
        except SequenceConflict:
            return False
        return True

    def _attributes(self, source: Source) -> _Attributes:
        return {
            "id": self._new_id(),
            "source": self._source,
            "subject": source.letter_id,
            "time": self._clock.now(),
            "project": _NOBODY,
        }


async def collect(bus: Bus, book: DeadLetterBook, logger: Logger) -> None:
    """Take in every advisory until cancelled."""

    async def take(message: Message) -> None:
        advisory = decode_advisory(message.data)
        if (advisory.stream, advisory.consumer) == (ADVISORIES.stream, ADVISORIES.name):
            logger.error("dead_letter.uncollectable", seq=advisory.stream_seq, reason=advisory.reason)
            return
        letter = await book.give_up(message)
        if letter is not None:
            logger.warning(
                "dead_letter.collected",
                letter=letter.source.letter_id,
                subject=letter.subject,
                failures=letter.failures,
                reason=letter.reason,
            )

    await consume(bus, ADVISORIES, take, logger, replayed=False)


def _subject(source: Source) -> str:
    return subjects.dead_letter(source.stream, source.consumer, source.seq)


def _copy(message: Message | None) -> Copied:
    if message is None:
        return Copied()
    if len(message.data) > BODY_BYTES_MAX:
        return Copied(headers=message.headers)
    return Copied.model_validate({"headers": message.headers, "body": b64encode(message.data)})


def _replay_in(message: Message) -> Replay | None:
    try:
        return decode_replay(message.data).data
    except UndecodableLetter:
        return None


def _encoded(event: CloudEvent) -> bytes:
    return event.model_dump_json().encode()


def _restless(source: Source) -> TemporaryError:
    return TemporaryError(
        f"dead letter {source.letter_id} is being changed by others all the time; try again"
    )
