"""A stream that broke in the middle, until another replica goes on with it.

Made by the tries when a replica fails within a stream that `resume` can continue. It waits for its turn among the job's broken streams
(`resume_turns`), then for a place on a replica, ahead of all requests that have not begun. Its turn lasts until that replica says its
first word. docs/internals/stream-resume.md tells what is promised.
"""

import asyncio
from typing import Final, Protocol

from hostler_router.exchange import Exchange
from hostler_router.openai_errors import ErrorReply
from hostler_router.parts import RouterParts
from hostler_router.place_in_line import PlaceInLine
from hostler_router.placement import in_service
from hostler_router.resume_turns import ResumeTurns
from hostler_router.stages import Request
from hostler_router.table import Endpoint, Entry

_FIRST: Final = -(2**62)
"""A priority that goes before all that clients may give."""
_NEVER: Final = float("inf")


class Stream(Protocol):
    """The tries whose stream broke."""

    @property
    def entry(self) -> Entry:
        """The job, as last looked at."""

    def look_again(self) -> Entry | None:
        """The job as of now; None where it has no ready replica."""

    def choose(self, *, bounded: bool = True) -> Endpoint | None:
        """A replica that has not failed at it; `bounded` ones have room as well."""

    def rest(self) -> bytes | None:
        """What to ask for, to get the rest of the stream; None where that can't be had."""

    def go(self, endpoint: Endpoint, body: bytes | None = None) -> None:
        """Ask this replica, with `body` instead of the request's own."""


class BrokenStream:
    """A broken stream.

    Attributes:
        error: Why it broke.
        waits: No other replica has been asked yet.
    """

    __slots__ = ("_exchange", "_parts", "_place", "_request", "_stream", "_turns", "error", "waits")

    def __init__(
        self,
        request: Request,
        stream: Stream,
        parts: RouterParts,
        exchange: Exchange,
        error: ErrorReply,
        *,
        deadline: float,
    ) -> None:
        """Take note of the break.

        Args:
            request: The request.
            stream: Its tries.
            parts: What requests work with.
            exchange: The course of it.
            error: Why it broke.
            deadline: How long it may wait, in monotonic seconds.
        """
        self._request = request
        self._stream = stream
        self._parts = parts
        self._exchange = exchange
        self._place = PlaceInLine(request, parts, exchange, stream.entry, deadline)
        self._turns: ResumeTurns | None = None  # where it has a turn to go on, or waits for one
        self.error = error
        self.waits = True

    @property
    def due(self) -> float:
        """When it has waited for long enough."""
        return self._place.deadline if self.waits else _NEVER

    def go_on(self, *, called: bool = False) -> bool:
        """Have another replica go on, or wait for one; gives whether one may.

        Args:
            called: By the line, which goes on calling as long as it believes that there is room: who finds none for all that must not be
                in the line again before it is done.
        """
        parts, exchange, stream = self._parts, self._exchange, self._stream
        entry = stream.look_again()
        if entry is None or stream.choose(bounded=False) is None:
            return False
        self._turns = turns = parts.resume_turns(entry.job_id)
        if not turns.take(self, in_service(parts, entry)):
            self._request.arm()
            return True
        endpoint = stream.choose()
        if endpoint is None:
            self.end_turn()
            if called:
                self.on_resume_turn()
                return True
            # Before all who have not begun, and not counted among them: there are no more of these than there were streams.
            places_max = parts.lines.waiting(entry.job_id) + 1
            self._place.take(entry, self._on_place, places_max=places_max, batch=False, priority=_FIRST)
            return True
        body = stream.rest()
        if body is None:
            return False
        self.waits = False
        exchange.resumed = True
        parts.metrics.resumed(entry.job_id)
        parts.metrics.retried(self.error.code or "")
        stream.go(endpoint, body)
        return True

    def on_resume_turn(self) -> None:
        """It may go on; not within whatever has made room, since many may be called at once and some of them end by it."""
        asyncio.get_running_loop().call_soon(self._request.guard, self._go_on_or_fail)

    def end_turn(self) -> None:
        """Have no turn any more, and wait for none."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.leave(self, in_service(self._parts, self._stream.entry))

    def leave(self) -> None:
        """Wait for nothing any more."""
        self._place.leave()
        self.end_turn()

    def _on_place(self) -> None:
        self._go_on_or_fail(called=True)

    def _go_on_or_fail(self, *, called: bool = False) -> None:
        if not self._request.over and self.waits and not self.go_on(called=called):
            self._request.fail(self.error)
