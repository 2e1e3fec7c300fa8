"""A request that goes straight to a replica and whose answer comes straight back: the way of nearly all that are no streams.

Made by the application in place of an `InferenceRequest`, and called by the same. It takes the same steps with one object where the other
has seven, and knows none of the turns: as soon as anything is out of the ordinary (a stream, no free connection, an error, silence, a
client that hangs up), it makes the `InferenceRequest` that there would have been, as far as it has come, and passes everything on to that.
"""

import sys
from typing import Final

import msgspec

from hostler_router.admission import ask_limits
from hostler_router.answer_usage import read_usage_of
from hostler_router.arriving import ArrivingBody, ReadBody, WholeBody
from hostler_router.asked import Asked
from hostler_router.attempt import Attempt
from hostler_router.auth import ANYONE, Caller
from hostler_router.bodies import body_naming, read_request
from hostler_router.closing import record_of_answered
from hostler_router.ending import fail_reply
from hostler_router.exchange import Exchange
from hostler_router.inference import InferenceRequest
from hostler_router.limit_rules import Lease, Verdict
from hostler_router.openai_errors import INTERNAL, ErrorReply, Refused
from hostler_router.parts import RouterParts
from hostler_router.placement import choose, praise
from hostler_router.table import Endpoint, Entry, Route
from hostler_router.upload_spool import FormBody
from hostler_router.upstream_head import json_head
from hostler_router.wire.heads import Head
from hostler_router.wire.replica_connection import ReplicaConnection
from hostler_router.wire.reply import JSON, Reply
from hostler_router.wishes import Wishes

_NEVER: Final = float("inf")
_NOBODY: Final[frozenset[str]] = frozenset()


class DirectRequest:
    """A request."""

    # Most of them stay what they are here, and cost a request nothing.
    _full: InferenceRequest | None = None
    _asked: Asked | None = None
    _entry: Entry | None = None
    """Its job, from when it is let in."""
    _lease: Lease | None = None
    _endpoint: Endpoint | None = None
    """The replica, from when it has been sent there; so are the next six."""
    _connection: ReplicaConnection | None = None
    _headers: dict[bytes, bytes] | None = None
    _began: float = 0.0
    _heard: float = 0.0
    _room: int = 0
    _attempt: Attempt | None = None
    _size: int = 0
    _deadline: float = _NEVER
    _over: bool = False

    def __init__(
        self,
        parts: RouterParts,
        head: Head,
        reply: Reply,
        exchange: Exchange,
        *,
        caller: Caller | ErrorReply,
        wishes: Wishes,
        may_stream: bool,
    ) -> None:
        """Take a request whose head has been admitted, and which announces no more than it may send.

        Args:
            parts: What requests work with.
            head: What it begins with.
            reply: How it is answered.
            exchange: Where the course of it is noted.
            caller: Who asks, or why that is nobody.
            wishes: What the head wishes.
            may_stream: Whether its route knows streams.
        """
        self._parts = parts
        self._head = head
        self._reply = reply
        self._exchange = exchange
        self._caller = caller
        self._wishes = wishes
        self._may_stream = may_stream
        self._pieces: list[bytes] = []
        """Of its body until that is whole, then of its answer."""
        parts.looks.begin(self)

    # The client.

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._parts.settings.body_bytes_max:
            self._give_over(whole=False)

    def on_end(self) -> None:
        """All of it is here."""
        try:
            self._enter()
        except Exception:  # noqa: BLE001  # told by what handles it
            self._bug()

    def on_drained(self) -> None:
        """It can take more, but all of an answer is sent at once."""

    def on_gone(self) -> None:
        """It hung up."""
        if not self._over:
            self._become().on_gone()

    # Its way.

    def _enter(self) -> None:
        """Let the request in."""
        parts, exchange, caller = self._parts, self._exchange, self._caller
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            asked = read_request(
                body, may_stream=self._may_stream, meant=self._wishes.model, route=exchange.route
            )
        except Refused:
            self._give_over(whole=True)
            return
        self._asked = asked
        target = parts.table.resolve(asked.model, caller.viewer if isinstance(caller, Caller) else ANYONE)
        if (
            asked.stream
            or not isinstance(target, Route)
            or not target.entry.allows(exchange.route)
            or parts.running.closed
        ):
            self._give_over(whole=True)
            return
        now = parts.clock.monotonic()
        exchange.body_seconds = now - exchange.started
        exchange.tokens_max = asked.tokens_max
        self._pieces = []
        self._entry = entry = target.entry
        exchange.job_id = job_id = entry.job_id
        self._deadline = now + self._wishes.timeout_within(entry.request_timeout_seconds)
        parts.recorder.arrived(job_id)
        parts.running.enter(self)
        parts.budget(job_id).request(now)
        if not ask_limits(
            parts,
            caller,
            body_bytes=self._head.length or self._size,
            tokens_max=asked.tokens_max,
            done=self._on_verdict,
        ):
            self._go(target, asked, now)

    def _on_verdict(self, verdict: Verdict) -> None:
        """What the limits of the caller's key and project say."""
        full, entry, asked = self._full, self._entry, self._asked
        if full is not None:
            full.on_verdict(verdict)
            return
        if entry is None or asked is None:
            return
        target = self._parts.table.target(entry.job_id)
        if not verdict.admitted or not isinstance(target, Route):
            self._become().on_verdict(verdict)
            return
        self._lease = verdict.lease
        self._reply.extra += verdict.headers
        self._reply.lines += verdict.lines
        try:
            self._go(target, asked, self._parts.clock.monotonic())
        except Exception:  # noqa: BLE001  # told by what handles it
            self._bug()

    def _go(self, target: Route, asked: Asked, now: float) -> None:
        """Give it to a replica, if there is one that can be spoken to at once."""
        parts, exchange = self._parts, self._exchange
        self._entry = entry = target.entry
        endpoint = connection = key = None
        if entry.job_id not in parts.lines.jobs or not parts.lines.waiting(entry.job_id):
            endpoint = choose(parts, entry, asked, self._head, _NOBODY)
        if endpoint is not None:
            try:
                key = parts.replica_keys.known(endpoint)
                connection = parts.pool.take(endpoint.url)
            except KeyError:
                pass  # it has to be fetched first
        if endpoint is None or connection is None:
            self._become().begin()
            return
        # From here on it is with the replica: whatever goes wrong gives place and connection back.
        exchange.replica_id = endpoint.replica_id
        exchange.tries = 1
        parts.outstanding.enter(endpoint.replica_id)
        self._endpoint, self._connection = endpoint, connection
        self._room = parts.settings.answer_bytes_max
        self._began = self._heard = now
        # Our own runtimes take any name; others know the model by theirs alone.
        body = asked.body if endpoint.upstream is None else body_naming(asked, endpoint.upstream.model)
        if isinstance(body, FormBody):
            raise TypeError("a form is none of this way")
        head = json_head(exchange, parts.pool.address(endpoint.url), key=key, length=len(body))
        connection.send(self, head, body)

    # The replica's connection.

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The head of the answer."""
        self._heard = self._parts.clock.monotonic()
        if status != 200 or headers.get(b"content-type") != JSON or b"x-audio-seconds" in headers:
            self._become_attempt().on_head(status, headers)
        else:
            self._headers = headers

    def on_data(self, data: bytes) -> None:
        """A piece of the answer."""
        self._heard = self._parts.clock.monotonic()
        self._pieces.append(data)
        self._room -= len(data)
        if self._room < 0:
            self._become_attempt()

    def on_complete(self) -> None:
        """All of it has come, and the connection is back in the pool."""
        self._connection = None
        pieces = self._pieces
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            try:
                self._exchange.usage = read_usage_of(content)
            except msgspec.DecodeError:  # cut off where the length was not announced
                self._become_attempt().on_complete()
                return
            self._over = True
            self._conclude(content)
        except Exception:  # noqa: BLE001  # as above
            self._bug()

    def on_lost(self, *, answered: bool) -> None:
        """The connection broke."""
        self._become_attempt().on_lost(answered=answered)

    def on_writable(self) -> None:
        """The replica can take more of the request, which has all been written."""

    # The end.

    def _conclude(self, content: bytes) -> None:
        """Its usage is stored; then it is put down, and its answer goes out."""
        parts, exchange, entry = self._parts, self._exchange, self._entry
        now = parts.clock.monotonic()
        if entry is None:
            raise TypeError("it was answered before it was let in")
        parts.outstanding.end(exchange.replica_id)
        if parts.outliers:
            praise(parts, entry.job_id, exchange.replica_id)
        parts.looks.end(self)
        exchange.replica_seconds = now - self._began
        if entry.job_id in parts.lines.jobs:
            parts.lines.pump(entry.job_id)
        self._pieces = [content]
        record = record_of_answered(parts, exchange, entry, ended=now)
        parts.committer.commit(entry.project, entry.job_id, record, self._release)

    def _release(self) -> None:
        """Its usage is stored."""
        parts, exchange, reply = self._parts, self._exchange, self._reply
        try:
            seconds = parts.clock.monotonic() - exchange.started
            if self._lease is not None:
                usage = exchange.usage
                self._lease.settle(None if usage is None else usage.prompt_tokens + usage.completion_tokens)
            parts.recorder.left(exchange.job_id)
            parts.answered(exchange, seconds)
        finally:
            try:
                reply.json(self._pieces[0])
            finally:
                parts.running.leave(self)

    # Time, and the router's own end.

    def due_again(self, now: float) -> float | None:
        """Look at every deadline; gives the next."""
        if self._full is not None or self._over:
            return None
        due = self._due()
        if now < due:
            return min(due, now + self._parts.look_seconds)
        # It will be asked at once, and knows what to say.
        self._become()
        return None

    def cut(self) -> None:
        """The router can't wait any longer."""
        if not self._over:
            self._become().cut()

    def _due(self) -> float:
        settings = self._parts.settings
        if self._entry is None:
            return self._exchange.started  # its body does not come in one piece
        if self._connection is None:
            return self._deadline
        quiet = (
            settings.first_byte_timeout_seconds if self._headers is None else settings.stall_timeout_seconds
        )
        return min(self._deadline, self._heard + quiet) if quiet else self._deadline

    # Everything else.

    def _become(self) -> InferenceRequest:
        """What goes on in place of this, from where this has come to."""
        full, asked, entry = self._full, self._asked, self._entry
        if full is not None:
            return full
        if asked is None or entry is None:
            return self._give_over(whole=False)
        full = self._made(ReadBody(self._size))
        full.take_over(asked, entry, lease=self._lease, deadline=self._deadline)
        self._parts.running.leave(self)
        if self._endpoint is not None:
            hold = self._parts.outstanding.hold_of(self._endpoint.replica_id)
            self._attempt = attempt = full.adopt(
                self._endpoint, self._connection, hold, began=self._began, heard=self._heard
            )
            pieces, self._pieces = self._pieces, []
            if self._headers is not None:
                attempt.on_head(200, self._headers)
            for piece in pieces:
                attempt.on_data(piece)
            attempt.heard = self._heard  # it is told again what the replica said then, not now
        return full

    def _become_attempt(self) -> Attempt:
        """The same, while a replica is at it."""
        self._become()
        if self._attempt is None:
            raise TypeError("no replica was asked")
        return self._attempt

    def _give_over(self, *, whole: bool) -> InferenceRequest:
        """What takes the request from its beginning; `whole` tells whether all of its body is here."""
        asked = self._asked
        pieces, self._pieces = self._pieces, []
        if asked is not None:
            full = self._made(ReadBody(self._size))
            full.enter(asked)
            return full
        full = self._made(
            WholeBody(
                self._parts,
                self._head,
                self._reply,
                self._exchange,
                self._wishes.model,
                may_stream=self._may_stream,
            )
        )
        for piece in pieces:
            full.on_body(piece)
        if whole:
            full.on_end()
        return full

    def _made(self, body: ArrivingBody) -> InferenceRequest:
        self._parts.looks.end(self)
        full = self._full = InferenceRequest(
            self._parts,
            self._head,
            self._reply,
            self._exchange,
            caller=self._caller,
            wishes=self._wishes,
            body=body,
        )
        # It may last long, and nothing of this is wanted meanwhile, least of all the body.
        self._asked = None
        self._reply.hand_to(full)
        return full

    def _bug(self) -> None:
        """An exception that nobody expected is being handled."""
        if self._full is not None:
            self._full.bug()
        elif self._entry is None:
            self._give_over(whole=True)  # it will meet it again, and tell
        elif not self._over:
            self._become().bug()
        else:  # within its end, which must come all the same
            parts = self._parts
            error = sys.exc_info()[1]
            parts.logger.error("request.bug", exc_info=error, request_id=self._exchange.request_id)
            fail_reply(self._reply, INTERNAL)
            parts.running.leave(self)
