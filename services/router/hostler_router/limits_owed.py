"""What Valkey is to be told of requests that ended and of room that was not used, all of the same subjects in one.

`limits` and `limits_granted` put it here, `limits` sends it with its next round trip. No I/O and no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hostler_kit.valkey import ScriptCall
from hostler_router.limit_rules import Subject
from hostler_router.limits_held import LimitCounts
from hostler_router.limits_store import LimitStore

SLOTS_AT_ONCE_MAX: Final = 500
_SUBJECTS_MAX: Final = 10_000


@dataclass(slots=True)
class _Owed:
    """Of the same subjects.

    Attributes:
        subjects: Which.
        tokens: Used beyond those set aside.
        unused: Requests that were counted and never made.
        slots: That are free again.
        ended: How many requests ended.
    """

    subjects: tuple[Subject, ...]
    tokens: int = 0
    unused: int = 0
    slots: list[str] = field(default_factory=list)
    ended: int = 0


class Owed:
    """All of it."""

    def __init__(self, store: LimitStore, counts: LimitCounts) -> None:
        self._store = store
        self._counts = counts
        self._owed: dict[tuple[str, ...], _Owed] = {}
        self._calls: list[ScriptCall] = []

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self._owed or self._calls)

    def add(
        self,
        subjects: tuple[Subject, ...],
        *,
        tokens: int = 0,
        unused: int = 0,
        slots: Sequence[str] = (),
        ended: int = 1,
    ) -> None:
        """Have something told; where there is too much already, it is not."""
        if len(self._owed) >= _SUBJECTS_MAX:
            self._counts.corrections_lost += ended
            return
        name = tuple([subject.name for subject in subjects])
        owed = self._owed.get(name)
        if owed is None:
            owed = self._owed[name] = _Owed(subjects)
        owed.tokens += tokens
        owed.unused += unused
        owed.ended += ended
        owed.slots.extend(slots)
        if len(owed.slots) >= SLOTS_AT_ONCE_MAX:
            self._calls.extend(self._calls_of(owed))
            del self._owed[name]

    def renew(self, subject: str, requests: Sequence[str]) -> None:
        """Have slots kept that are in use."""
        for start in range(0, len(requests), SLOTS_AT_ONCE_MAX):
            self._calls.append(self._store.renew_call(subject, requests[start : start + SLOTS_AT_ONCE_MAX]))

    def take(self) -> tuple[list[ScriptCall], int]:
        """The calls that tell everything, of how many requests that ended; nothing is owed any more."""
        # Renewals first: whatever they name had not ended then.
        calls = [*self._calls, *(call for owed in self._owed.values() for call in self._calls_of(owed))]
        ended = sum(owed.ended for owed in self._owed.values())
        self._calls.clear()
        self._owed.clear()
        return calls, ended

    def forget(self) -> None:
        """Valkey can't be told: it forgets slots and tokens by itself."""
        self._counts.corrections_lost += sum(owed.ended for owed in self._owed.values())
        self._calls.clear()
        self._owed.clear()

    def _calls_of(self, owed: _Owed) -> list[ScriptCall]:
        slots = owed.slots
        first = self._store.settle_call(
            owed.subjects, slots[:SLOTS_AT_ONCE_MAX], owed.tokens, unused=owed.unused
        )
        rest = range(SLOTS_AT_ONCE_MAX, len(slots), SLOTS_AT_ONCE_MAX)
        return [
            first,
            *(
                self._store.settle_call(owed.subjects, slots[start : start + SLOTS_AT_ONCE_MAX], 0)
                for start in rest
            ),
        ]
