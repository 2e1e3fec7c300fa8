"""Who waits for a replica, by job, and whose turn it is when there is room.

Requests join here when every replica has as many requests as it may, or when there is no replica yet. Whatever makes room calls
`pump`: a request that ended, a replica that became ready, a job that stopped, so that those who wait for it are told.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from hostler_router.waiting_line import Ticket, WaitingLine


class Waiter(Protocol):
    """A request that waits."""

    def on_turn(self) -> None:
        """There may be room for it."""

    def on_evicted(self) -> None:
        """It gave its place up to one that goes before it."""


class Lines:
    """Every job's line.

    Attributes:
        jobs: Those of which some may wait; of all others none does. It is the living map, not a copy.
    """

    def __init__(self, has_room: Callable[[str], bool], now: Callable[[], float]) -> None:
        """Make lines without anybody in them.

        Args:
            has_room: Whether the first of a job's line can be helped, be it with a replica or with bad news.
            now: Monotonic seconds.
        """
        self._has_room = has_room
        self._now = now
        self._lines: dict[str, WaitingLine[Waiter]] = {}
        self.jobs: Final[Collection[str]] = self._lines
        self._pumping: set[str] = set()

    def waiting(self, job_id: str) -> int:
        """How many wait for this job."""
        line = self._lines.get(job_id)
        return 0 if line is None else len(line)

    def oldest_age(self, job_id: str) -> float | None:
        """For how many seconds the longest has waited for this job; None where nobody waits."""
        line = self._lines.get(job_id)
        return None if line is None or not len(line) else max(line.oldest_age(self._now()), 0.0)

    @property
    def lengths(self) -> Mapping[str, int]:
        """How many wait, by job; those for which nobody waits are absent."""
        return {job_id: len(line) for job_id, line in self._lines.items() if len(line)}

    def join(
        self,
        job_id: str,
        waiter: Waiter,
        *,
        places_max: int,
        batch: bool,
        priority: int,
        deadline: float,
    ) -> Ticket[Waiter] | None:
        """Wait; None where the line is full."""
        line = self._lines.get(job_id)
        if line is None:
            line = self._lines[job_id] = WaitingLine(places_max)
        line.places_max = places_max
        ticket = line.join(waiter, batch=batch, priority=priority, now=self._now(), deadline=deadline)
        if ticket is not None and ticket.evicted is not None:
            ticket.evicted.on_evicted()
        return ticket

    def leave(self, job_id: str, ticket: Ticket[Waiter]) -> None:
        """Wait no more."""
        line = self._lines.get(job_id)
        if line is None:
            return
        line.leave(ticket)
        if not len(line) and job_id not in self._pumping:
            del self._lines[job_id]

    def pump(self, job_id: str) -> None:
        """Call whoever can be helped."""
        line = self._lines.get(job_id)
        if line is None or job_id in self._pumping:
            return
        self._pumping.add(job_id)
        try:
            while len(line) and self._has_room(job_id):
                waiter = line.next(self._now())
                if waiter is None:
                    break
                waiter.on_turn()
        finally:
            self._pumping.discard(job_id)
        if not len(line) and self._lines.get(job_id) is line:
            del self._lines[job_id]
