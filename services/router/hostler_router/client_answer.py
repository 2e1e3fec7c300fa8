"""The answer to one request as its client gets it: what of it went out, what keeps the client waiting meanwhile, how it ends.

Made with the request; the tries write what replicas say, the request has the last word. Where `wire.reply` knows how bytes go out,
this knows what they were.
"""

from typing import Final

from hostler_router.attempt import Attempt
from hostler_router.ending import fail_reply
from hostler_router.exchange import Exchange
from hostler_router.openai_errors import ErrorReply
from hostler_router.parts import RouterParts
from hostler_router.responses_stream import ROUTE as RESPONSES_ROUTE
from hostler_router.responses_stream import error_event
from hostler_router.wire.reply import Reply

_KEEP_ALIVE: Final = b": keep-alive\n\n"


class ClientAnswer:
    """An answer.

    Attributes:
        reply: What it goes out by.
        spoke: The client has had an event of it that is not only a comment.
        events: How many events replicas have sent for it, over all tries that are over.
        passed: How many of them the client got, where they are numbered.
        wrote: When the client was last written to, or had no need of it.
    """

    __slots__ = ("_exchange", "_heard", "_parts", "events", "passed", "reply", "spoke", "wrote")

    def __init__(self, parts: RouterParts, reply: Reply, exchange: Exchange) -> None:
        self._parts = parts
        self._exchange = exchange
        self._heard = exchange.started
        self.reply = reply
        self.spoke = False
        self.events = 0
        self.passed = 0
        self.wrote = exchange.started

    @property
    def partial(self) -> bool:
        """Whether the client has had a part of it, after which it can't be begun again."""
        return self.spoke or (self.reply.started and not self.reply.events)

    def pass_on(self, attempt: Attempt, data: bytes, *, speaks: bool) -> None:
        """Send whole events; `speaks` tells whether there are any among them that are not only comments."""
        reply = self.reply
        if not self.spoke:
            self.spoke = True
            self.note_first_event()
            if not reply.started:
                reply.open_events()
        elif speaks:
            self._parts.metrics.next_event(self._exchange.job_id, attempt.heard - self._heard)
        self.wrote = self._heard = attempt.heard
        reply.write(data)
        if not reply.writable:
            attempt.pause()

    def note_first_event(self) -> None:
        """The first event goes out now, unless one has gone."""
        exchange = self._exchange
        if exchange.first_event_seconds is None:
            exchange.first_event_seconds = self._parts.clock.monotonic() - exchange.started

    def pass_piece(self, attempt: Attempt, data: bytes) -> None:
        """Send a piece of an answer that is no stream and too large to be held back."""
        reply = self.reply
        if not reply.started:
            reply.open(200, ((b"content-type", attempt.content_type),))
        reply.write(data)
        if not reply.writable:
            attempt.pause()

    def keep_alive_due(self) -> float:
        """When a client that waits for events should hear something."""
        return self.wrote + self._parts.settings.keep_alive_comment_seconds

    def keep_alive(self, now: float) -> None:
        """Let a client that waits for a stream know that it is not forgotten."""
        if now < self.keep_alive_due():
            return
        self.wrote = now
        if not self.reply.started:
            self.reply.open_events()
        if self.reply.events and self.reply.writable:
            self.reply.write(_KEEP_ALIVE)

    def end_events(self, data: bytes) -> None:
        """End a stream with its last events."""
        if not self.reply.started:
            self.reply.open_events()
        self.reply.end(data)

    def fail(self, error: ErrorReply) -> None:
        """End with an error."""
        event = error_event(error, self.passed) if self._exchange.route == RESPONSES_ROUTE else None
        fail_reply(self.reply, error, event)
