"""Limits as one router counts them by itself, where Valkey can't be asked: each router gives its share of every limit.

No I/O and no clock: `now` is in seconds of the monotonic one. A share begins as full as Valkey last said that the whole was, so an
outage gives nobody a new minute's worth; what is counted here is not told to Valkey later, so its return may, once. Called by
`limits` alone.
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
        self._heard: dict[str, _Counted] = {}

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

    def heard(
        self, subjects: tuple[Subject, ...], levels: tuple[Level, ...], *, now: float, routers: int
    ) -> None:
        """Valkey said how full the buckets of all routers together are."""
        for subject, level in zip(subjects, levels, strict=True):
            share = Level(level.requests / routers, level.tokens / routers)
            self._heard[subject.name] = _Counted(subject, share, now)

    def correct(self, asked: Asked, tokens: int, *, now: float, routers: int) -> None:
        """Count `tokens` more than were set aside for a request that was admitted here."""
        for subject in asked.subjects:
            level = corrected(self._level(subject, now, routers), subject.limits, tokens)
            self._counted[subject.name] = _Counted(subject, level, now)

    def sweep(self, *, now: float, routers: int) -> None:
        """Forget buckets that have run dry."""
        for buckets in (self._counted, self._heard):
            for name, counted in list(buckets.items()):
                level = leaked(counted.level, counted.subject.limits, now - counted.at, routers)
                if level.requests == 0.0 and level.tokens == 0.0:
                    del buckets[name]

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return len(self._counted) + len(self._heard)

    def _level(self, subject: Subject, now: float, routers: int) -> Level:
        """The fuller of what was let in here and what Valkey said: neither knows all of the other."""
        requests = tokens = 0.0
        for buckets in (self._counted, self._heard):
            counted = buckets.get(subject.name)
            if counted is not None:
                level = leaked(counted.level, subject.limits, now - counted.at, routers)
                requests, tokens = max(requests, level.requests), max(tokens, level.tokens)
        slots = 0 if subject.limits.concurrency is None else self._slots(subject)
        return Level(requests, tokens, slots)
