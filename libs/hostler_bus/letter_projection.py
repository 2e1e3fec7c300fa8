"""All dead letters, held in memory by following the book: for lists and for the figure that alerts are made of.

The bodies stay in the book. The api runs one in each of its processes.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from hostler_bus.dead_letters import letter_entry
from hostler_bus.port import Bus, CaughtUp, LastPerSubject, Message
from hostler_bus.projection import Grace
from hostler_bus.reading import listed
from hostler_bus.topology import DEAD_LETTERS_KEPT_SECONDS
from hostler_contracts import subjects
from hostler_contracts.dead_letters import UndecodableLetter
from hostler_domain.dead_letters import DeadLetter, LetterState
from hostler_kit.logs import Logger

_KEPT = timedelta(seconds=DEAD_LETTERS_KEPT_SECONDS)


class LetterProjection:
    """Every letter as of the latest message about it.

    Attributes:
        caught_up: Whether everything that was in the book at the start has been read.
    """

    def __init__(self, now: Callable[[], datetime], logger: Logger | None = None) -> None:
        self._now = now
        self._letters: dict[str, tuple[DeadLetter, datetime]] = {}
        self._seqs: dict[str, int] = {}
        self._logger: Logger = logger or structlog.get_logger()
        self.caught_up = False

    def letters(self) -> tuple[DeadLetter, ...]:
        """Those that the book still has, latest given up first."""
        since = self._now() - _KEPT
        for letter_id in [each for each, (_, told_at) in self._letters.items() if told_at < since]:
            source = self._letters.pop(letter_id)[0].source
            self._seqs.pop(subjects.dead_letter(source.stream, source.consumer, source.seq), None)
        return tuple(
            sorted(
                (letter for letter, _ in self._letters.values()),
                key=lambda letter: (letter.given_up_at, letter.source.letter_id),
                reverse=True,
            )
        )

    def waiting(self) -> int:
        """How many nobody has dealt with."""
        return sum(letter.state is LetterState.WAITING for letter in self.letters())

    async def run(self, bus: Bus) -> None:
        """Follow the book until cancelled. What can't be read is logged and passed over."""
        start = LastPerSubject()
        async with bus.follow(subjects.DEAD_LETTERS, subjects.DEAD_LETTERS_SUBJECTS, start=start) as messages:
            async for message in messages:
                if isinstance(message, CaughtUp):
                    self.caught_up = True
                    continue
                self._take(message)

    async def resync(self, bus: Bus, grace: Grace) -> int:
        """List the book and take in what was missed; gives how many letters were.

        Raises:
            BusUnavailable: the list could not be read to its end.
        """
        missed = [
            message
            async for message in listed(bus, subjects.DEAD_LETTERS, subjects.DEAD_LETTERS_SUBJECTS)
            if message.seq > self._seqs.get(message.subject, 0)
        ]
        if missed:
            await grace()
        return sum(self._take(message) for message in missed)

    def _take(self, message: Message) -> bool:
        """Apply a message unless one as new is known; gives whether it was news."""
        if message.seq <= self._seqs.get(message.subject, 0):
            return False
        self._seqs[message.subject] = message.seq
        try:
            letter = letter_entry(message).letter
        except UndecodableLetter as error:
            self._logger.warning("dead_letter.undecodable", seq=message.seq, reason=str(error))
            return True
        self._letters[letter.source.letter_id] = (letter, message.time)
        return True
