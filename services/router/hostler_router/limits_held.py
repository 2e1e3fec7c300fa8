"""Requests that wait for their verdict and requests that hold a slot, as `limits` keeps them. No I/O and no clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from weakref import WeakSet

from hostler_router.limit_grants import Grant
from hostler_router.limit_rules import Asked, Slot, Subject, Verdict

Done = Callable[[Verdict], object]


@dataclass(slots=True)
class LimitCounts:
    """What the limiter did, for the metrics: plain numbers that only grow.

    Attributes:
        by_store: Decided by Valkey.
        by_grant: Of these, let in from room that it had given before.
        by_share: Decided by this router's share, because Valkey was slow or gone.
        late: Of these, where it had been asked and did not answer in time.
        failures: Round trips that failed.
        corrections_lost: What ended without Valkey being told; it forgets the slot and the tokens by itself.
        refused: By bound, such as `key.tokens_per_minute`.
    """

    by_store: int = 0
    by_grant: int = 0
    by_share: int = 0
    late: int = 0
    failures: int = 0
    corrections_lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class HeldLease:
    """What an admitted request holds.

    Attributes:
        on_settled: Told once, when the request has ended.
        asked: What was asked for.
        grant: Of the same caller.
        slot: That it holds, where concurrency is bounded.
        by_share: This router counted it by itself.
        awaited: Valkey was asked too, and may answer yet.
        in_store: Valkey counted it.
        difference: Tokens used beyond those set aside, once it is settled.
    """

    on_settled: Callable[["HeldLease"], None]
    asked: Asked
    grant: Grant
    slot: Slot | None
    by_share: bool
    awaited: bool
    in_store: bool
    difference: int | None = None

    def settle(self, tokens_used: int | None) -> None:
        """The request ended: give its slot back and count what it used, where that is known. Again is harmless."""
        if self.difference is None:
            self.difference = 0 if tokens_used is None else max(tokens_used, 0) - self.asked.tokens
            self.on_settled(self)


@dataclass(slots=True, eq=False)
class Ask:
    """A request that waits for its verdict, and what became of it."""

    asked: Asked
    done: Done
    grant: Grant
    sent: bool = False
    answered: bool = False
    lease: HeldLease | None = None


class HeldSlots:
    """The slots of this router: those of requests under way, and those that are kept for the next.

    They are held weakly: whoever loses one without giving it back holds it for no longer than its lease lasts in Valkey.
    """

    def __init__(self) -> None:
        self._slots: dict[str, WeakSet[Slot]] = {}

    def add(self, slot: Slot) -> None:
        """It is held from now on."""
        for subject in slot.subjects:
            self._slots.setdefault(subject.name, WeakSet()).add(slot)

    def discard(self, slot: Slot) -> None:
        """It is free."""
        for subject in slot.subjects:
            held = self._slots.get(subject.name)
            if held is not None:
                held.discard(slot)
                if not held:
                    del self._slots[subject.name]

    def count(self, subject: Subject) -> int:
        """How many of a subject are held here."""
        held = self._slots.get(subject.name)
        return 0 if held is None else len(held)

    def requests(self) -> Iterator[tuple[str, list[str]]]:
        """The names of subjects, and by which Valkey knows their slots."""
        for name, slots in list(self._slots.items()):
            requests = [slot.request for slot in slots]
            if requests:
                yield name, requests
            else:
                del self._slots[name]
