"""Requests that wait for their verdict and requests that hold a slot, as `limits` keeps them. No I/O and no clock."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from weakref import WeakSet

from hostler_router.limit_rules import Asked, Subject, Verdict

Done = Callable[[Verdict], object]


@dataclass(slots=True)
class LimitCounts:
    """What the limiter did, for the metrics: plain numbers that only grow.

    Attributes:
        by_store: Decided by Valkey.
        by_share: Decided by this router's share, because Valkey was slow or gone.
        late: Of these, where it had been asked and did not answer in time.
        failures: Round trips that failed.
        corrections_lost: What ended without Valkey being told; it forgets the slot and the tokens by itself.
        refused: By bound, such as `key.tokens_per_minute`.
    """

    by_store: int = 0
    by_share: int = 0
    late: int = 0
    failures: int = 0
    corrections_lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False, weakref_slot=True)
class HeldLease:
    """What an admitted request holds.

    Attributes:
        on_settled: Told once, when the request has ended.
        asked: What was asked for.
        by_share: This router counted it by itself.
        awaited: Valkey was asked too, and may answer yet.
        in_store: Valkey counted it.
        difference: Tokens used beyond those set aside, once it is settled.
    """

    on_settled: Callable[["HeldLease"], None]
    asked: Asked
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
    timer: asyncio.TimerHandle | None = None
    sent: bool = False
    answered: bool = False
    lease: HeldLease | None = None


@dataclass(slots=True)
class Owed:
    """What Valkey is to be told of requests of the same subjects that ended, all in one.

    Attributes:
        subjects: Theirs.
        tokens: Used beyond those set aside.
        requests: That hold a slot there.
        count: How many ended.
    """

    subjects: tuple[Subject, ...]
    tokens: int = 0
    requests: list[str] = field(default_factory=list)
    count: int = 0


class HeldSlots:
    """The leases of this router that hold a slot, by subject.

    They are held weakly: whoever loses a lease without settling it holds its slot for no longer than the lease lasts in Valkey.
    """

    def __init__(self) -> None:
        self._leases: dict[str, WeakSet[HeldLease]] = {}

    def add(self, lease: HeldLease) -> None:
        """A request began."""
        for subject in lease.asked.subjects:
            if subject.limits.concurrency is not None:
                self._leases.setdefault(subject.name, WeakSet()).add(lease)

    def discard(self, lease: HeldLease) -> None:
        """It ended."""
        for subject in lease.asked.subjects:
            held = self._leases.get(subject.name)
            if held is not None:
                held.discard(lease)
                if not held:
                    del self._leases[subject.name]

    def count(self, subject: Subject) -> int:
        """How many requests of a subject are under way here."""
        held = self._leases.get(subject.name)
        return 0 if held is None else len(held)

    def requests(self) -> Iterator[tuple[str, list[str]]]:
        """The names of subjects, and their requests under way."""
        for name, leases in list(self._leases.items()):
            requests = [lease.asked.request for lease in leases]
            if requests:
                yield name, requests
            else:
                del self._leases[name]
