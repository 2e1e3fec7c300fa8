"""One try of one request on one replica, from the connection to the last byte of the answer.

Made by the request, which hears of the outcome and decides what comes next; told of the answer by the connection. A whole answer is
held back until it is complete, a stream is passed on in whole events. Nothing here is waited for: whatever happens next is a call.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

import msgspec

from hostler_router.answer_stream import AnswerStream, Passed
from hostler_router.bodies import Usage, read_audio_seconds, read_usage_of
from hostler_router.openai_errors import (
    BROKEN_OFF,
    REPLICA_FAILED,
    REPLICAS_UNREACHABLE,
    STALLED,
    TIMED_OUT_FIRST,
    ErrorReply,
)
from hostler_router.outliers import Failure
from hostler_router.outstanding import Hold
from hostler_router.parts import RouterParts
from hostler_router.replica_keys import KeyUnavailable
from hostler_router.responses_stream import ResponsesStream
from hostler_router.resume import Resume
from hostler_router.table import Endpoint
from hostler_router.upload_spool import FormBody, Passage
from hostler_router.upstream_errors import TRY_ELSEWHERE, normalised
from hostler_router.wire.addresses import Address
from hostler_router.wire.replica_connection import ReplicaConnection

_ERROR_BYTES_MAX: Final = 64 * 1024
_STALE_CONNECTIONS_MAX: Final = 8
_RUN_OF_EVENTS: Final = b"data:"


class Stage(Enum):
    """How far a try has got."""

    CONNECTING = auto()
    """No connection yet, so the replica has not had the request."""
    WAITING = auto()
    """It has the request; of the answer there is no more than comments."""
    TALKING = auto()
    """The answer comes."""
    OVER = auto()
    """Nothing more comes of it."""


class Owner(Protocol):
    """The request that a try is for."""

    def on_events(self, attempt: "Attempt", data: bytes, *, speaks: bool) -> None:
        """Whole events came; `speaks` tells whether there are any among them that are not only comments."""

    def on_stream_done(self, attempt: "Attempt", data: bytes) -> None:
        """The stream is complete; `data` is the rest of it, its end mark included."""

    def on_answer(self, attempt: "Attempt", content: bytes) -> None:
        """The whole answer came."""

    def on_large_answer(self, attempt: "Attempt", data: bytes) -> None:
        """A piece came of an answer too large to be held back."""

    def on_large_answer_done(self, attempt: "Attempt") -> None:
        """That was all of it."""

    def on_refused(self, attempt: "Attempt", error: ErrorReply) -> None:
        """The replica answered with an error that is the client's to know."""

    def on_failed(self, attempt: "Attempt", error: ErrorReply, failure: Failure) -> None:
        """The replica could not do it; another one may."""

    def on_bug(self) -> None:
        """An exception that nobody expected is being handled."""


class Attempt:
    """A try.

    Attributes:
        endpoint: The replica.
        stage: How far it has got.
        usage: What the runtime said that it took.
        events: How many events came, which are about as many tokens.
        began: When it was begun, in monotonic seconds.
        heard: When the replica last said anything.
        content_type: Of the answer.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_call_off",
        "_connection",
        "_head_of",
        "_hold",
        "_large",
        "_owner",
        "_parts",
        "_pieces",
        "_responses",
        "_resume",
        "_size",
        "_stale",
        "_status",
        "_stream",
        "_strip_usage",
        "_tasks",
        "_upload",
        "audio_seconds",
        "began",
        "content_type",
        "endpoint",
        "events",
        "heard",
        "retry_after",
        "stage",
        "usage",
    )

    def __init__(
        self,
        owner: Owner,
        parts: RouterParts,
        endpoint: Endpoint,
        *,
        head_of: "HeadOf",
        body: bytes | FormBody,
        strip_usage: bool,
        hold: Hold,
        resume: Resume | None = None,
        responses: bool = False,
    ) -> None:
        """Prepare a try.

        Args:
            owner: Hears of everything.
            parts: What requests work with.
            endpoint: The replica.
            head_of: Gives the request's head for this replica.
            body: What is sent.
            strip_usage: The client did not ask for the usage in its stream.
            hold: The place that it has on the replica, given up at the end.
            resume: Continues a stream that another replica began.
            responses: A stream ends as those of `/v1/responses` do.
        """
        self._owner = owner
        self._parts = parts
        self.endpoint = endpoint
        self._head_of = head_of
        self._body = body
        self._hold = hold
        self._resume = resume
        self._strip_usage = strip_usage
        self._responses = responses
        self._stream: AnswerStream | ResponsesStream | None = None
        self._connection: ReplicaConnection | None = None
        self._call_off: Callable[[], None] | None = None
        self._tasks: asyncio.Task[None] | None = None
        self._upload: Callable[[], None] | None = None
        self._stale = 0
        self._status = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._large = False
        self.stage = Stage.CONNECTING
        self.usage: Usage | None = None
        self.events = 0
        self.began = self.heard = self._asked = parts.clock.monotonic()
        self.content_type = b""
        self.retry_after: str | None = None
        self.audio_seconds = b""

    # What the request calls.

    def start(self) -> None:
        """Send the request, on a connection that is open already or on a new one."""
        try:
            key = self._parts.replica_keys.known(self.endpoint)
        except KeyError:
            self._tasks = asyncio.create_task(self._fetch_key())
            return
        self._begin(key)

    def pause(self) -> None:
        """The client is slower than the replica."""
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """It has caught up."""
        if self._connection is not None:
            self._connection.resume()

    def more(self) -> None:
        """More of the request's body has come, or its end."""
        if not self._arrives:
            # Only now has the replica got something to be silent about.
            self._asked = self.heard = self._parts.clock.monotonic()
        if self._upload is not None:
            self._upload()

    def forget_body(self) -> None:
        """It has been answered, so it is never sent again."""
        self._body = b""

    def stop(self) -> None:
        """Give up: the replica learns it by its connection's end."""
        self._end(keep=False)

    def due(self) -> float:
        """When it has been silent for too long."""
        settings = self._parts.settings
        if self._arrives:
            return float("inf")  # it may well wait for the rest of the request
        if self.stage is Stage.TALKING:
            return self.heard + settings.stall_timeout_seconds
        if self.stage is Stage.WAITING and settings.first_byte_timeout_seconds:
            return self._asked + settings.first_byte_timeout_seconds
        return float("inf")

    @property
    def passed(self) -> int:
        """How many events of a stream of `/v1/responses` the client got; they are numbered."""
        return self._stream.passed if isinstance(self._stream, ResponsesStream) else 0

    def check(self, now: float) -> None:
        """Fail if it has been silent for too long."""
        if now < self.due():
            return
        # A replica that is not heard because nobody listens is not silent.
        if self._connection is not None and self._connection.paused:
            self.heard = now
            return
        waiting = self.stage is Stage.WAITING
        self._fail(TIMED_OUT_FIRST if waiting else STALLED, Failure.STALL)

    # What the connection calls.

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The head of the answer."""
        self.heard = self._parts.clock.monotonic()
        self._status = status
        self.content_type = headers.get(b"content-type", b"application/octet-stream")
        self.audio_seconds = headers.get(b"x-audio-seconds", b"")
        retry_after = headers.get(b"retry-after")
        self.retry_after = None if retry_after is None else retry_after.decode("latin-1")
        if status >= 300:
            # It has made up its mind, and writing on to one that hangs up could cost us its words.
            self._upload = None
        if status != 200 or self.content_type[:17].lower() != b"text/event-stream":
            self.stage = Stage.TALKING

    def on_data(self, data: bytes) -> None:
        """A piece of the answer."""
        if self.stage is Stage.OVER:
            return
        self.heard = self._parts.clock.monotonic()
        try:
            if self._is_events:
                self._take_events(data)
            else:
                self._take_piece(data)
        except Exception:  # noqa: BLE001  # the parser that calls this would take it for bad HTTP
            self._bug()

    def on_complete(self) -> None:
        """All of it has come, and the connection is back in the pool."""
        self._connection = None
        if self.stage is Stage.OVER:
            return
        try:
            if self._is_events:
                self._pass(self._events.close())
            else:
                self._take_whole()
        except Exception:  # noqa: BLE001  # as above
            self._bug()

    def on_lost(self, *, answered: bool) -> None:
        """The connection broke."""
        connection, self._connection = self._connection, None
        if self.stage is Stage.OVER:
            return
        if connection is not None and connection.requests > 1 and not answered and self._resendable:
            # A kept connection that the replica had closed meanwhile says nothing about the replica: again, on another.
            self._stale += 1
            if self._stale < _STALE_CONNECTIONS_MAX:
                self.stage = Stage.CONNECTING
                self.start()
                return
        talking = self.stage is Stage.TALKING and self._is_events
        self._fail(BROKEN_OFF if talking else REPLICA_FAILED, Failure.BROKEN)

    def on_writable(self) -> None:
        """The replica can take more of the request."""
        if self._upload is not None:
            self._upload()

    # Within.

    @property
    def _arrives(self) -> bool:
        """Whether the client has not sent all of the body yet."""
        return isinstance(self._body, FormBody) and not self._body.whole

    @property
    def _is_events(self) -> bool:
        return self._status == 200 and self.content_type[:17].lower() == b"text/event-stream"

    @property
    def _resendable(self) -> bool:
        return not self._large

    async def _fetch_key(self) -> None:
        try:
            await self._parts.replica_keys.fetch(self.endpoint)
        except KeyUnavailable:
            if self.stage is not Stage.OVER:
                self._fail(REPLICAS_UNREACHABLE, Failure.UNREACHABLE)
            return
        if self.stage is not Stage.OVER:
            self._guarded(self.start)

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something that nobody waits for, so that a bug in it reaches the request."""
        try:
            act()
        except Exception:  # noqa: BLE001  # logged by the request
            self._bug()

    def _begin(self, key: str | None) -> None:
        connection = self._parts.pool.take(self.endpoint.url)
        if connection is not None:
            self._send(connection, key)
            return

        def connected(made: ReplicaConnection | None) -> None:
            self._call_off = None
            if self.stage is Stage.OVER:
                if made is not None:
                    self._parts.pool.put_back(made)
            elif made is None:
                self._fail(REPLICAS_UNREACHABLE, Failure.UNREACHABLE)
            else:
                self._guarded(lambda: self._send(made, key))

        self._call_off = self._parts.pool.connect(self.endpoint.url, connected)

    def _send(self, connection: ReplicaConnection, key: str | None) -> None:
        self.stage = Stage.WAITING
        self._connection = connection
        body = self._body
        head = self._head_of(self._parts.pool.address(self.endpoint.url), key, body)
        if isinstance(body, FormBody):
            connection.send(self, head, b"")
            connection.sending = True
            passage = Passage(body)

            def upload() -> None:
                while connection.writable and self._connection is connection:
                    piece = passage.take()
                    if not piece:
                        return
                    connection.write(piece)
                    if passage.done:
                        connection.sending = False
                        self._upload = None
                        return

            self._upload = upload
            upload()
        else:
            connection.send(self, head, body)

    def _take_events(self, data: bytes) -> None:
        stream = self._stream or self._events
        if self._resume is None and stream.is_plain(data):
            self.stage = Stage.TALKING
            self.events += data.count(_RUN_OF_EVENTS)
            self._owner.on_events(self, data, speaks=True)
            return
        self._pass(stream.feed(data))

    @property
    def _events(self) -> AnswerStream | ResponsesStream:
        """What reads the stream; answers that are none do without."""
        if self._stream is None:
            event_bytes_max = self._parts.settings.event_bytes_max
            self._stream = (
                ResponsesStream(event_bytes_max=event_bytes_max)
                if self._responses
                else AnswerStream(
                    strip_usage=self._strip_usage,
                    event_bytes_max=event_bytes_max,
                    rewrite=None if self._resume is None else self._resume.rewrite,
                )
            )
        return self._stream

    def _pass(self, passed: Passed) -> None:
        self.usage = self._events.usage
        self.events += passed.events
        if passed.speaks:
            self.stage = Stage.TALKING
        if passed.done:
            self._end(keep=True)
            self._owner.on_stream_done(self, passed.out)
            return
        if passed.out:
            self._owner.on_events(self, passed.out, speaks=passed.speaks)
        if passed.error is not None and self.stage is not Stage.OVER:
            if passed.error is BROKEN_OFF:
                broken = BROKEN_OFF if self.stage is Stage.TALKING else REPLICA_FAILED
                self._fail(broken, Failure.BROKEN)
            else:
                # The runtime's own words: it works, and says that it can't do this.
                self._end(keep=False)
                self._owner.on_refused(self, passed.error)

    def _take_piece(self, data: bytes) -> None:
        if self._large:
            self._owner.on_large_answer(self, data)
            return
        self._pieces.append(data)
        self._size += len(data)
        settings = self._parts.settings
        if self._size <= (settings.answer_bytes_max if self._status < 400 else _ERROR_BYTES_MAX):
            return
        if self._status == 200:
            self._large = True
            content, self._pieces = b"".join(self._pieces), []
            self._owner.on_large_answer(self, content)
        else:
            self._take_whole()

    def _take_whole(self) -> None:
        if self._large:
            self._end(keep=True)
            self._owner.on_large_answer_done(self)
            return
        content = b"".join(self._pieces)
        if self._status in TRY_ELSEWHERE:
            self._fail(normalised(self._status, b""), Failure.ERROR)
            return
        if self._status != 200:
            self._end(keep=False)
            self._owner.on_refused(self, normalised(self._status, content, self.retry_after))
            return
        self.usage = read_audio_seconds(self.audio_seconds.decode("latin-1"))
        if self.content_type[:16].lower() == b"application/json":
            try:
                self.usage = read_usage_of(content) or self.usage
            except msgspec.DecodeError:
                self._fail(REPLICA_FAILED, Failure.BROKEN)  # cut off where the length was not announced
                return
        self._end(keep=True)
        self._owner.on_answer(self, content)

    def _fail(self, error: ErrorReply, failure: Failure) -> None:
        self._end(keep=False)
        self._owner.on_failed(self, error, failure)

    def _end(self, *, keep: bool) -> None:
        """Give up the place on the replica and the connection, for good or for the next."""
        self.stage = Stage.OVER
        self._hold.end()
        self._upload = None
        if self._call_off is not None:
            self._call_off()
            self._call_off = None
        if self._tasks is not None and self._tasks is not asyncio.current_task():
            self._tasks.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            if keep:
                connection.settle()
            else:
                connection.close()

    def _bug(self) -> None:
        self._end(keep=False)
        self._owner.on_bug()


class HeadOf(Protocol):
    """Makes the head of a request for a replica."""

    def __call__(self, address: Address, key: str | None, body: bytes | FormBody) -> bytes:
        """The head, with its blank line."""
