"""One request's place in the line for its job's replicas, and until when it is kept.

Made by the tries when a request has to wait, and again by a stream that broke; `lines` has everybody's places and calls.
"""

from collections.abc import Callable
from typing import Final

from hostler_router.admission import no_replica
from hostler_router.exchange import Exchange
from hostler_router.lines import Waiter
from hostler_router.openai_errors import queue_full, queue_timed_out
from hostler_router.parts import RouterParts
from hostler_router.stages import Request
from hostler_router.table import Entry, NotServing, Route, Target, Waking
from hostler_router.waiting_line import Ticket

_NEVER: Final = float("inf")


class PlaceInLine:
    """A place, which may be taken more than once until its time is over.

    Attributes:
        deadline: When the request has waited for long enough, in monotonic seconds.
    """

    __slots__ = ("_entry", "_exchange", "_parts", "_request", "_then", "_ticket", "deadline")

    def __init__(
        self, request: Request, parts: RouterParts, exchange: Exchange, entry: Entry, deadline: float
    ) -> None:
        self._request = request
        self._parts = parts
        self._exchange = exchange
        self._entry = entry
        self._ticket: Ticket[Waiter] | None = None
        self._then: Callable[[], None] | None = None
        self.deadline = deadline

    @property
    def due(self) -> float:
        """When it has waited for long enough; infinity while it does not wait."""
        return _NEVER if self._ticket is None else self.deadline

    def wait(
        self, standing: Route | Waking, then: Callable[[], None], now: float, *, batch: bool, priority: int
    ) -> None:
        """Wait for a replica, or for room on one, if there is time left for it.

        Args:
            standing: The job as of now.
            then: What is done when there may be room.
            now: In monotonic seconds.
            batch: Others go before it.
            priority: Among its like; the lower, the sooner.
        """
        parts, entry = self._parts, standing.entry
        if isinstance(standing, Waking):
            parts.wake(entry.job_id, self._exchange)
        if self.deadline <= now:
            self.give_up(standing)
            return
        own = entry.routing.queue_max
        places_max = parts.settings.queue_max if own is None else own
        self.take(entry, then, places_max=places_max, batch=batch, priority=priority)

    def take(
        self, entry: Entry, then: Callable[[], None], *, places_max: int, batch: bool, priority: int
    ) -> None:
        """Wait; the request is turned away where there is no place, now or later.

        Args:
            entry: The job.
            then: What is done when there may be room.
            places_max: How many may wait.
            batch: As above.
            priority: As above.
        """
        parts, job_id = self._parts, entry.job_id
        self._entry, self._then = entry, then
        self._ticket = parts.lines.join(
            job_id,
            self,
            places_max=places_max,
            batch=batch,
            priority=priority,
            deadline=_NEVER,  # the request looks after its own
        )
        if self._ticket is None:
            self._turn_away()
            return
        self._exchange.queued_at = parts.clock.monotonic()
        parts.recorder.waits(job_id)
        parts.metrics.set_waiting(job_id, parts.lines.waiting(job_id))
        self._request.arm()

    def on_turn(self) -> None:
        """There may be room."""
        then = self._then
        self.leave()
        if then is not None and not self._request.over:
            self._request.guard(then)

    def on_evicted(self) -> None:
        """Another request goes before."""
        self.leave()
        if not self._request.over:
            self._turn_away()

    def leave(self) -> None:
        """Wait no more, be it for a turn or for nothing."""
        ticket, self._ticket, self._then = self._ticket, None, None
        if ticket is None:
            return
        parts, exchange, job_id = self._parts, self._exchange, self._exchange.job_id
        parts.lines.leave(job_id, ticket)
        parts.recorder.waits_no_more(job_id)
        parts.metrics.set_waiting(job_id, parts.lines.waiting(job_id))
        if exchange.queued_at is not None:
            waited = parts.clock.monotonic() - exchange.queued_at
            exchange.queue_seconds += waited
            exchange.queued_at = None
            parts.metrics.waited(job_id, waited)

    def give_up(self, standing: Target | None) -> None:
        """It has waited in vain; `standing` is the job as of now."""
        parts = self._parts
        if isinstance(standing, Waking | NotServing):
            error = no_replica(standing, parts.clock.now())
        else:
            error = queue_timed_out(self._entry.name, parts.settings.queue_retry_after_seconds)
        self._request.turn_away(error)

    def _turn_away(self) -> None:
        retry_after = self._parts.settings.queue_retry_after_seconds
        self._request.turn_away(queue_full(self._entry.name, retry_after))


def waits_until(parts: RouterParts, entry: Entry, now: float) -> float:
    """How long a request of this job waits that begins to do so now."""
    own = entry.routing.queue_timeout_seconds
    return now + (parts.settings.queue_timeout_seconds if own is None else own)
