"""One try of one request on one replica, from the connection to the last byte of the answer.

Made by the request's tries, which hear of the outcome and decide what comes next; told of the answer by the connection that its
`delivery` has found. A whole answer is held back until it is complete (`plain_answer`), a stream is passed on in whole events
(`answer_stream`, `responses_stream`). Nothing here is waited for: whatever happens next is a call.
"""

from enum import Enum, auto
from typing import Final, Protocol

from hostler_router.answer_stream import AnswerStream, Passed
from hostler_router.answer_usage import Usage
from hostler_router.delivery import Delivery, HeadOf
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
from hostler_router.plain_answer import PlainAnswer, Unfit
from hostler_router.responses_stream import ResponsesStream
from hostler_router.resume import Resume
from hostler_router.table import Endpoint
from hostler_router.upload_spool import FormBody
from hostler_router.wire.replica_connection import ReplicaConnection

_EVENT_STREAM: Final = b"text/event-stream"
_RUN_OF_EVENTS: Final = b"data:"
_NEVER: Final = float("inf")


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
    """What a try is for."""

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
        "_delivery",
        "_hold",
        "_owner",
        "_parts",
        "_plain",
        "_responses",
        "_resume",
        "_stream",
        "_strip_usage",
        "began",
        "content_type",
        "endpoint",
        "events",
        "heard",
        "stage",
        "usage",
    )

    def __init__(
        self,
        owner: Owner,
        parts: RouterParts,
        endpoint: Endpoint,
        *,
        head_of: HeadOf,
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
        self._hold = hold
        self._resume = resume
        self._strip_usage = strip_usage
        self._responses = responses
        self._delivery = Delivery(self, parts, endpoint, head_of, body)
        self._plain: PlainAnswer | None = None
        self._stream: AnswerStream | ResponsesStream | None = None
        self.stage = Stage.CONNECTING
        self.usage: Usage | None = None
        self.events = 0
        self.began = self.heard = self._asked = parts.clock.monotonic()
        self.content_type = b""

    # What the request calls.

    def start(self) -> None:
        """Send the request."""
        self._delivery.start()

    def take_over(self, connection: ReplicaConnection | None, *, began: float, heard: float) -> None:
        """Go on with what somebody else has sent; None where the answer has come as far as it will."""
        self.stage = Stage.WAITING
        self.began = self._asked = began
        self.heard = heard
        self._delivery.take_over(connection)

    def pause(self) -> None:
        """The client is slower than the replica."""
        if self._delivery.connection is not None:
            self._delivery.connection.pause()

    def resume(self) -> None:
        """It has caught up."""
        if self._delivery.connection is not None:
            self._delivery.connection.resume()

    def more(self) -> None:
        """More of the request's body has come, or its end."""
        if not self._delivery.arrives:
            # Only now has the replica got something to be silent about.
            self._asked = self.heard = self._parts.clock.monotonic()
        self._delivery.send_more()

    def forget_body(self) -> None:
        """It has been answered, so it is never sent again."""
        self._delivery.forget_body()

    def stop(self) -> None:
        """Give up: the replica learns it by its connection's end."""
        self._end(keep=False)

    def due(self) -> float:
        """When it has been silent for too long."""
        settings = self._parts.settings
        if self._delivery.arrives:
            return _NEVER  # it may well wait for the rest of the request
        if self.stage is Stage.TALKING:
            return self.heard + settings.stall_timeout_seconds
        if self.stage is Stage.WAITING and settings.first_byte_timeout_seconds:
            return self._asked + settings.first_byte_timeout_seconds
        return _NEVER

    @property
    def passed(self) -> int:
        """How many events of a stream of `/v1/responses` the client got; they are numbered."""
        return self._stream.passed if isinstance(self._stream, ResponsesStream) else 0

    def check(self, now: float) -> None:
        """Fail if it has been silent for too long."""
        if now < self.due():
            return
        # A replica that is not heard because nobody listens is not silent.
        if self._delivery.connection is not None and self._delivery.connection.paused:
            self.heard = now
            return
        waiting = self.stage is Stage.WAITING
        self._fail(TIMED_OUT_FIRST if waiting else STALLED, Failure.STALL)

    # What the delivery calls.

    def on_sending(self) -> None:
        """There is a connection, and the request goes out on it."""
        self.stage = Stage.WAITING

    def on_unreachable(self) -> None:
        """There is no connection to be had, or no key."""
        self._fail(REPLICAS_UNREACHABLE, Failure.UNREACHABLE)

    def on_bug(self) -> None:
        """An exception that nobody expected is being handled."""
        self._end(keep=False)
        self._owner.on_bug()

    # What the connection calls.

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The head of the answer."""
        self.heard = self._parts.clock.monotonic()
        content_type = self.content_type = headers.get(b"content-type", b"application/octet-stream")
        if status >= 300:
            self._delivery.send_no_more()
        if status != 200 or content_type[:17].lower() != _EVENT_STREAM:
            self.stage = Stage.TALKING
            bytes_max = self._parts.settings.answer_bytes_max
            self._plain = PlainAnswer(status, content_type, headers, bytes_max=bytes_max)

    def on_data(self, data: bytes) -> None:
        """A piece of the answer."""
        if self.stage is Stage.OVER:
            return
        self.heard = self._parts.clock.monotonic()
        try:
            if self._plain is None:
                self._take_events(data)
            else:
                self._take_piece(self._plain, data)
        except Exception:  # noqa: BLE001  # the parser that calls this would take it for bad HTTP
            self.on_bug()

    def on_complete(self) -> None:
        """All of it has come, and the connection is back in the pool."""
        self._delivery.connection = None
        if self.stage is Stage.OVER:
            return
        try:
            if self._plain is None:
                stream = self._stream or self._begin_stream()
                self._pass(stream, stream.close())
            else:
                self._take_whole(self._plain)
        except Exception:  # noqa: BLE001  # as above
            self.on_bug()

    def on_lost(self, *, answered: bool) -> None:
        """The connection broke."""
        stale = self._delivery.is_stale(answered=answered)
        if self.stage is Stage.OVER:
            return
        if stale:
            self.stage = Stage.CONNECTING
            self._delivery.start()
            return
        talking = self.stage is Stage.TALKING and self._plain is None
        self._fail(BROKEN_OFF if talking else REPLICA_FAILED, Failure.BROKEN)

    def on_writable(self) -> None:
        """The replica can take more of the request."""
        self._delivery.send_more()

    # A stream.

    def _begin_stream(self) -> AnswerStream | ResponsesStream:
        event_bytes_max = self._parts.settings.event_bytes_max
        stream = self._stream = (
            ResponsesStream(event_bytes_max=event_bytes_max)
            if self._responses
            else AnswerStream(
                strip_usage=self._strip_usage,
                event_bytes_max=event_bytes_max,
                rewrite=None if self._resume is None else self._resume.rewrite,
            )
        )
        return stream

    def _take_events(self, data: bytes) -> None:
        stream = self._stream or self._begin_stream()
        if self._resume is None and stream.is_plain(data):
            self.stage = Stage.TALKING
            self.events += data.count(_RUN_OF_EVENTS)
            self._owner.on_events(self, data, speaks=True)
            return
        self._pass(stream, stream.feed(data))

    def _pass(self, stream: AnswerStream | ResponsesStream, passed: Passed) -> None:
        self.usage = stream.usage
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

    # An answer that is none.

    def _take_piece(self, plain: PlainAnswer, data: bytes) -> None:
        passes = plain.feed(data)
        if passes is None:
            self._take_whole(plain)
        elif plain.large:
            self._owner.on_large_answer(self, passes)

    def _take_whole(self, plain: PlainAnswer) -> None:
        if plain.large:
            self._end(keep=True)
            self._owner.on_large_answer_done(self)
            return
        whole = plain.close()
        self.usage = plain.usage
        if isinstance(whole, bytes):
            self._end(keep=True)
            self._owner.on_answer(self, whole)
        elif isinstance(whole, Unfit):
            self._fail(whole.error, whole.failure)
        else:
            self._end(keep=False)
            self._owner.on_refused(self, whole)

    # The end.

    def _fail(self, error: ErrorReply, failure: Failure) -> None:
        self._end(keep=False)
        self._owner.on_failed(self, error, failure)

    def _end(self, *, keep: bool) -> None:
        """Give up the place on the replica and the connection, for good or for the next."""
        self.stage = Stage.OVER
        self._hold.end()
        self._delivery.end(keep=keep)
