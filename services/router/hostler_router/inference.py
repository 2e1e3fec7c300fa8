"""One request for inference, from its head to the last byte of its answer.

Made by the application for every inference route, and called from then on by the client's connection, by the timer wheel, and by what it
is made of: its body while it arrives (`arriving`, `uploads`), what is tried for it on replicas (`tries`). It lets the request in
(`admission`), keeps the deadlines, and has the last word on the end (`closing`). What a client gets is whole: an error of its own, an
answer that is complete, or a stream that ends with `[DONE]` or with one error event.
"""

import sys
from collections.abc import Callable
from typing import Final

from hostler_router.admission import ask_limits, resolve
from hostler_router.arriving import ArrivingBody
from hostler_router.asked import Asked
from hostler_router.attempt import Attempt
from hostler_router.auth import Caller
from hostler_router.client_answer import ClientAnswer
from hostler_router.closing import conclude, nothing
from hostler_router.exchange import Exchange, Outcome
from hostler_router.limit_rules import Lease, Verdict
from hostler_router.openai_errors import (
    INTERNAL,
    ROUTER_STOPPING,
    TIMED_OUT,
    ErrorReply,
    Refused,
    rate_limited,
)
from hostler_router.outstanding import Hold
from hostler_router.parts import RouterParts
from hostler_router.table import Endpoint, Entry
from hostler_router.tracing import Span
from hostler_router.tries import Tries
from hostler_router.wire.heads import Head
from hostler_router.wire.replica_connection import ReplicaConnection
from hostler_router.wire.reply import Reply
from hostler_router.wishes import Wishes

_NEVER: Final = float("inf")


class InferenceRequest:
    """A request.

    Attributes:
        over: It has ended.
    """

    __slots__ = (
        "_answer",
        "_armed",
        "_body",
        "_caller",
        "_deadline",
        "_exchange",
        "_head",
        "_lease",
        "_parts",
        "_reply",
        "_span",
        "_tries",
        "_wishes",
        "over",
    )

    def __init__(
        self,
        parts: RouterParts,
        head: Head,
        reply: Reply,
        exchange: Exchange,
        *,
        caller: Caller | ErrorReply,
        wishes: Wishes,
        body: ArrivingBody,
        span: Span | None = None,
    ) -> None:
        """Take a request whose head has been admitted.

        Args:
            parts: What requests work with.
            head: What it begins with.
            reply: How it is answered.
            exchange: Where the course of it is noted.
            caller: Who asks, or why that is nobody.
            wishes: What the head wishes.
            body: Takes its body.
            span: Of its trace, if that is kept.
        """
        self._parts = parts
        self._head = head
        self._reply = reply
        self._exchange = exchange
        self._caller = caller
        self._wishes = wishes
        self._body = body
        self._answer = ClientAnswer(parts, reply, exchange)
        self._tries: Tries | None = None  # from when it is let in until its end
        self._lease: Lease | None = None
        self._deadline = _NEVER
        self.over = False
        self._span = span
        if span is not None:
            exchange.trace = span.header().decode("ascii")
        # No deadline that a stage of a request brings with it is nearer than this, so the wheel need not hear of stages.
        self._armed = min(exchange.started + parts.look_seconds, body.due)
        parts.wheel.arm(self, self._armed)

    # The client.

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.over:
            return
        try:
            asked = self._body.feed(data)
            if asked is not None:
                self._enter(asked)
            elif self._tries is not None:
                self._tries.send_more()
        except Exception:  # noqa: BLE001  # told by what handles it
            self._handle()

    def on_end(self) -> None:
        """All of it is here."""
        if self.over:
            return
        try:
            asked = self._body.close()
            if self._tries is None:
                self._enter(asked)
            else:
                self._understand(self._tries, asked)
        except Exception:  # noqa: BLE001  # as above
            self._handle()

    def on_drained(self) -> None:
        """It can take more."""
        if self._tries is not None:
            self._tries.take_more()

    def on_gone(self) -> None:
        """It hung up."""
        if self.over:
            return
        self._exchange.outcome = Outcome.CLIENT_GONE
        if self._tries is None:
            self._parts.metrics.client_gone()
        self._stop_trying()
        self._finish(self._reply.status, nothing, wait=False)

    # What it asks for.

    def _enter(self, asked: Asked) -> None:
        """Let the request in, now that it is known what it asks for."""
        parts, exchange = self._parts, self._exchange
        now = parts.clock.monotonic()
        exchange.body_seconds = now - exchange.started
        exchange.stream, exchange.tokens_max = asked.stream, asked.tokens_max
        entry = resolve(parts, self._caller, asked.model, exchange)
        if parts.running.closed:
            raise Refused(ROUTER_STOPPING)
        tries = self._tries_of(asked, entry)
        if self._body.whole:
            # The job's time is for its work; how long a form may take to arrive has a bound of its own.
            self._deadline = now + self._wishes.timeout_within(entry.request_timeout_seconds)
        parts.recorder.arrived(entry.job_id)
        parts.running.enter(self)
        self._tries = tries
        parts.budget(entry.job_id).request(now)
        self.arm()
        body_bytes = self._head.length or self._body.size
        if not ask_limits(
            parts, self._caller, body_bytes=body_bytes, tokens_max=asked.tokens_max, done=self.on_verdict
        ):
            tries.begin()

    def _tries_of(self, asked: Asked, entry: Entry) -> Tries:
        return Tries(
            self,
            self._parts,
            self._exchange,
            self._answer,
            head=self._head,
            wishes=self._wishes,
            span=self._span,
            asked=asked,
            entry=entry,
        )

    def _understand(self, tries: Tries, asked: Asked) -> None:
        """All has come of a body that was understood before: what stood behind its file counts too."""
        exchange = self._exchange
        tries.asked = asked
        exchange.stream, exchange.tokens_max = asked.stream, asked.tokens_max
        self._answer.wrote = now = self._parts.clock.monotonic()
        self._deadline = now + self._wishes.timeout_within(tries.entry.request_timeout_seconds)
        tries.send_more()
        self.arm()

    def on_verdict(self, verdict: Verdict) -> None:
        """What the limits of the caller's key and project say."""
        if self.over or self._tries is None:
            if verdict.lease is not None:
                verdict.lease.settle(0)
            return
        self._lease = verdict.lease
        if verdict.admitted:
            self._reply.extra += verdict.headers
            self._reply.lines += verdict.lines
            self.guard(self._tries.begin)
        else:
            self._exchange.outcome = Outcome.LIMITED
            self._parts.metrics.rate_limited(verdict.refused_by or "")
            self.fail(rate_limited(verdict))

    # What was let in already.

    def enter(self, asked: Asked) -> None:
        """Let the request in, whose body somebody else has read."""
        self.guard(lambda: self._enter(asked))

    def take_over(self, asked: Asked, entry: Entry, *, lease: Lease | None, deadline: float) -> None:
        """Go on with a request that somebody else has let in."""
        self._tries = self._tries_of(asked, entry)
        self._lease = lease
        self._deadline = deadline
        self._parts.running.enter(self)

    def begin(self) -> None:
        """Give it to a replica."""
        if self._tries is not None:
            self.guard(self._tries.begin)

    def adopt(
        self,
        endpoint: Endpoint,
        connection: ReplicaConnection | None,
        hold: Hold,
        *,
        began: float,
        heard: float,
    ) -> Attempt:
        """Go on with the try that somebody else has begun.

        Raises:
            TypeError: it was not let in.
        """
        if self._tries is None:
            raise TypeError("only what was let in is tried")
        return self._tries.adopt(endpoint, connection, hold, began=began, heard=heard)

    # Time.

    def due_again(self, now: float) -> float | None:
        """Look at every deadline; gives the next."""
        if self.over:
            return None
        try:
            self._look(now)
        except Exception:  # noqa: BLE001  # as above
            self._handle()
        due = self._next_due()
        if due == _NEVER:
            return None
        self._armed = min(due, now + self._parts.look_seconds)
        return self._armed

    def arm(self) -> None:
        """Be asked in time for the next deadline; an earlier time stays, since it finds out by itself that it is too early."""
        due = self._next_due()
        if due < self._armed:
            self._armed = due
            self._parts.wheel.arm(self, due)

    def _next_due(self) -> float:
        if self.over:
            return _NEVER
        due = min(self._deadline, self._body.due)
        if self._tries is not None:
            due = min(due, self._tries.due())
        if self._exchange.stream:
            due = min(due, self._answer.keep_alive_due())
        return due

    def _look(self, now: float) -> None:
        body, answer = self._body, self._answer
        if now >= body.due:
            self._reply.closes = True
            self._refuse(body.late(now))
        elif now >= self._deadline:
            self._stop_trying()
            self.fail(TIMED_OUT)
        else:
            if self._tries is not None:
                self._tries.look(now)
            if self.over or not self._exchange.stream:
                return
            if body.whole:
                answer.keep_alive(now)
            else:
                answer.wrote = now  # a client that still speaks is not waiting, and may yet be told an error

    # The end.

    def cut(self) -> None:
        """The router can't wait any longer."""
        if self.over:
            return
        self._stop_trying()
        self._exchange.outcome = Outcome.CUT
        self.fail(ROUTER_STOPPING)

    def answered(self, send: Callable[[], None]) -> None:
        """A replica has answered it; `send` sends the end, once its usage is stored."""
        self._finish(200, send, wait=True)

    def turn_away(self, error: ErrorReply) -> None:
        """End a request that was let in, but for which there is no place."""
        self._exchange.outcome = Outcome.REJECTED
        self.fail(error)

    def fail(self, error: ErrorReply) -> None:
        """End with an error that nobody else can put right."""
        exchange, answer, reply = self._exchange, self._answer, self._reply
        if exchange.outcome is Outcome.ANSWERED:
            if answer.partial:
                exchange.outcome = Outcome.BROKEN
            elif error.status >= 500:
                exchange.outcome = Outcome.FAILED
        if reply.started and self._tries is not None:
            self._parts.metrics.broken(error.code or "")
        self._finish(reply.status or error.status, lambda: answer.fail(error), wait=False)

    def _refuse(self, error: ErrorReply) -> None:
        """End a request that was never let in, or was refused for what is wrong with it."""
        self._stop_trying()
        if self._exchange.outcome is Outcome.ANSWERED:
            self._exchange.outcome = Outcome.REFUSED
        self.fail(error)

    def _stop_trying(self) -> None:
        if self._tries is not None:
            self._tries.stop()

    def _finish(self, status: int, send: Callable[[], None], *, wait: bool) -> None:
        """End with `status`, 0 where the client gets none; `wait` tells whether `send` waits until the usage is stored."""
        if self.over:
            return
        self.over = True
        parts, tries = self._parts, self._tries
        parts.wheel.disarm(self)
        if tries is not None:
            tries.leave()
            self._tries = None  # they hold each other
        self._body.free()
        conclude(
            parts,
            self._exchange,
            self._answer,
            self,
            None if tries is None else tries.entry,
            lease=self._lease,
            span=self._span,
            status=status,
            body_bytes=self._body.size,
            send=send,
            wait=wait,
        )

    # Whatever nobody expected.

    def guard(self, act: Callable[[], None]) -> None:
        """Do something that may refuse the request; a bug in it must not look like anything but a 500."""
        try:
            act()
        except Exception:  # noqa: BLE001  # the outermost frame of a request
            self._handle()

    def _handle(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, Refused):
            self._refuse(error.reply)
        else:
            self.bug()

    def bug(self) -> None:
        """End with a 500, because an exception that nobody expected is being handled."""
        error = sys.exc_info()[1]
        self._parts.logger.error("request.bug", exc_info=error, request_id=self._exchange.request_id)
        if self.over:  # within its end, which must come all the same
            self._answer.fail(INTERNAL)
            self._parts.running.leave(self)
            return
        self._stop_trying()
        self._exchange.outcome = Outcome.FAILED
        self.fail(INTERNAL)
