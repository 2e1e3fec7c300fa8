"""The bounded line in which requests wait for a place on one job's replicas.

The core joins a request that finds no place, takes the next one when a place becomes free, and asks who has waited in vain.
Interactive requests go before those of batches, then low priority numbers before high ones, then the oldest. So that a batch
moves on under steady traffic, every eighth turn is a batch's while one waits.

Times are monotonic seconds that never go back. Each call takes O(log n) at most, spread over many.
"""

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BATCH_TURN: Final = 8
"""Of so many turns in a row one is a batch's."""


class Ticket(Generic[T]):
    """A place in the line.

    Attributes:
        number: Grows from ticket to ticket of a line.
        batch: Part of a batch.
        priority: The lower, the sooner.
        joined: When it was taken.
        deadline: Until when it is kept; infinity for ever.
        waiting: Not called, left, put out or expired yet.
        evicted: Who gave this place up and is to be told so; None where one was free.
    """

    __slots__ = ("batch", "deadline", "evicted", "joined", "number", "priority", "waiting")

    def __init__(
        self,
        number: int,
        *,
        batch: bool,
        priority: int,
        joined: float,
        deadline: float,
        evicted: "T | None",
    ) -> None:
        self.number = number
        self.batch = batch
        self.priority = priority
        self.joined = joined
        self.deadline = deadline
        self.waiting = True
        self.evicted = evicted


class WaitingLine(Generic[T]):
    """One job's line."""

    __slots__ = (
        "_batch",
        "_batch_last",
        "_deadlines",
        "_interactive",
        "_joined",
        "_number",
        "_passed_over",
        "_waiters",
        "places_max",
    )

    def __init__(self, places_max: int) -> None:
        """Make an empty line.

        Args:
            places_max: How many may wait. It may be changed; who waits already is not put out by that.
        """
        self.places_max = places_max
        self._joined: OrderedDict[int, Ticket[T]] = OrderedDict()
        # Apart from the tickets, so that a ticket that is kept, by a heap too, keeps no request with its body.
        self._waiters: dict[int, T] = {}
        self._interactive: _Heap[T] = []
        self._batch: _Heap[T] = []
        self._batch_last: _Heap[T] = []
        self._deadlines: _Heap[T] = []
        self._number = 0
        self._passed_over = 0

    def __len__(self) -> int:
        return len(self._joined)

    @property
    def next_deadline(self) -> float | None:
        """When the next one will have waited in vain; None if nobody will."""
        first = _first(self._deadlines)
        return None if first is None else first.deadline

    def oldest_age(self, now: float) -> float:
        """For how many seconds the longest has waited; 0 if nobody waits."""
        for ticket in self._joined.values():
            return now - ticket.joined
        return 0.0

    def join(
        self, waiter: T, *, batch: bool, priority: int, now: float, deadline: float = inf
    ) -> Ticket[T] | None:
        """Take a place at the end of the waiter's class; None if the line is full.

        In a full line an interactive request takes the place of the batch request whose turn would come last, which is the
        newest one among those of the highest priority number: the ticket's `evicted` says whose.
        """
        evicted = None
        if len(self._joined) >= self.places_max:
            last = None if batch else _first(self._batch_last)
            if last is None or self.places_max <= 0:
                return None
            evicted = self._call(last)
        self._number = number = self._number + 1
        ticket = Ticket(
            number, batch=batch, priority=priority, joined=now, deadline=deadline, evicted=evicted
        )
        self._joined[number] = ticket
        self._waiters[number] = waiter
        if batch:
            self._push(self._batch, (priority, number, ticket))
            self._push(self._batch_last, (-priority, -number, ticket))
        else:
            self._push(self._interactive, (priority, number, ticket))
        if deadline < inf:
            self._push(self._deadlines, (deadline, number, ticket))
        return ticket

    def next(self, now: float) -> T | None:
        """Whose turn it is; who is past the deadline gets none and is left to `expire`."""
        interactive = _first_in_time(self._interactive, now)
        batch = _first_in_time(self._batch, now)
        if batch is None:
            called = interactive
        elif interactive is None or self._passed_over >= BATCH_TURN - 1:
            self._passed_over = 0
            called = batch
        else:
            self._passed_over += 1
            called = interactive
        return None if called is None else self._call(called)

    def leave(self, ticket: Ticket[T]) -> bool:
        """Give the place up; False if it was given up before."""
        if not ticket.waiting:
            return False
        self._call(ticket)
        return True

    def expire(self, now: float) -> list[T]:
        """Who has waited in vain up to now, the earliest deadline first; they wait no more."""
        expired = []
        while (first := _first(self._deadlines)) is not None and first.deadline <= now:
            expired.append(self._call(first))
        return expired

    def clear(self) -> list[T]:
        """Send everybody away, the oldest first; gives who that was."""
        return [self._call(ticket) for ticket in list(self._joined.values())]

    def _call(self, ticket: Ticket[T]) -> T:
        ticket.waiting = False
        del self._joined[ticket.number]
        return self._waiters.pop(ticket.number)

    def _push(self, heap: "_Heap[T]", entry: "_Entry[T]") -> None:
        # Who leaves stays in the heaps until coming up. Where most have left, they are sorted out at once.
        if len(heap) > 2 * len(self._joined) + 64:
            heap[:] = [kept for kept in heap if kept[2].waiting]
            heapify(heap)
        heappush(heap, entry)


_Entry = tuple[float, int, Ticket[T]]
_Heap = list[_Entry[T]]


def _first(heap: "_Heap[T]") -> Ticket[T] | None:
    """The first that still waits."""
    while heap:
        ticket = heap[0][2]
        if ticket.waiting:
            return ticket
        heappop(heap)
    return None


def _first_in_time(heap: "_Heap[T]", now: float) -> Ticket[T] | None:
    """The first that still waits and may; those that may not have their place until they are expired, but no turn."""
    while (ticket := _first(heap)) is not None and ticket.deadline <= now:
        heappop(heap)
    return ticket
