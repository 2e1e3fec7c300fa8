"""Limits as one router counts them by itself, where Valkey can't be asked: each router gives its share of every limit.

No I/O and no clock: `now` is in seconds of the monotonic one. What is counted here is not told to Valkey later, nor taken from
there, so a change from one to the other lets through one minute's worth more at most. Called by `limits` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hostler_router.limit_rules import (
    Asked,
    Level,
    Outcome,
    Subject,
    charged,
    corrected,
    leaked,
    refusals,
)


@dataclass(slots=True)
class _Counted:
    subject: Subject
    level: Level
    at: float


class LocalLimits:
    """The buckets of this router."""

    def __init__(self, slots: Callable[[Subject], int]) -> None:
        """Begin with empty buckets.

        Args:
            slots: How many requests of a subject this router has under way.
        """
        self._slots = slots
        self._counted: dict[str, _Counted] = {}

    def decide(self, asked: Asked, *, now: float, routers: int) -> Outcome:
        """Whether there is room for it; it is counted then."""
        levels = tuple(self._level(subject, now, routers) for subject in asked.subjects)
        for subject, level in zip(asked.subjects, levels, strict=True):
            for _ in refusals(subject, level, asked.tokens, routers):
                return Outcome(False, levels)
        full = tuple(
            charged(level, subject.limits, asked.tokens)
            for subject, level in zip(asked.subjects, levels, strict=True)
        )
        for subject, level in zip(asked.subjects, full, strict=True):
            self._counted[subject.name] = _Counted(subject, level, now)
        return Outcome(True, full)

    def correct(self, asked: Asked, tokens: int, *, now: float, routers: int) -> None:
        """Count `tokens` more than were set aside for a request that was admitted here."""
        for subject in asked.subjects:
            level = corrected(self._level(subject, now, routers), subject.limits, tokens)
            self._counted[subject.name] = _Counted(subject, level, now)

    def sweep(self, *, now: float, routers: int) -> None:
        """Forget buckets that have run dry."""
        for name, counted in list(self._counted.items()):
            level = self._level(counted.subject, now, routers)
            if level.requests == 0.0 and level.tokens == 0.0:
                del self._counted[name]

    def __len__(self) -> int:
        """How many subjects are remembered."""
        return len(self._counted)

    def _level(self, subject: Subject, now: float, routers: int) -> Level:
        slots = 0 if subject.limits.concurrency is None else self._slots(subject)
        counted = self._counted.get(subject.name)
        if counted is None:
            return Level(slots=slots)
        level = leaked(counted.level, subject.limits, now - counted.at, routers)
        return Level(level.requests, level.tokens, slots)
