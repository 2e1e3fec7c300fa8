"""The answer to one request: whole or visibly broken.

Made by the connection for each request, used by whatever answers it: either `whole`, or `open...` and then `write` as often as
needed and `end`. What is left without its end is broken off, so that a client never takes a part for the whole.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from hostler_router.wire.heads import Head, Header, answer_head

JSON: Final = b"application/json"
_EVENTS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # keeps nginx from holding events back
)
_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_CLOSE: Final = (b"connection", b"close")
_STAY: Final = (b"connection", b"keep-alive")
_JSON_ANSWER: Final = b"HTTP/1.1 200 OK\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Sink(Protocol):
    """What takes a request."""

    def on_body(self, data: bytes) -> None:
        """A piece of the body came."""

    def on_end(self) -> None:
        """All of the body has come."""

    def on_gone(self) -> None:
        """The client hung up before its answer was complete."""

    def on_drained(self) -> None:
        """The client can take more of the answer."""


class Line(Protocol):
    """The connection that an answer goes out on."""

    writable: bool

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once it is gone."""

    def hand_to(self, reply: "Reply", sink: "Sink") -> None:
        """Tell this of the request from now on."""

    def reply_ended(self) -> None:
        """The answer is written."""

    def pause_reading(self) -> None:
        """Let the client's bytes wait."""

    def resume_reading(self) -> None:
        """Take them again."""

    def abort(self) -> None:
        """Hang up at once."""


class Reply:
    """An answer.

    Attributes:
        extra: Headers that go with whatever is answered, such as the request's id; to be filled before anything is sent.
        status: What was sent; 0 before that.
        events: A stream of events was begun.
        ended: Everything was sent.
        gone: The client hung up before that.
        closes: The connection ends with it.
    """

    __slots__ = (
        "_chunked",
        "_date_line",
        "_head",
        "_line",
        "_pending",
        "closes",
        "ended",
        "events",
        "extra",
        "gone",
        "status",
    )

    def __init__(self, line: Line, head: Head | None, *, keep_alive: bool, date_line: bytes) -> None:
        self._line = line
        self._head = head
        self._date_line = date_line
        self._chunked = False
        self._pending = b""
        self.closes = not keep_alive
        self.extra: list[Header] = []
        self.status = 0
        self.events = False
        self.ended = False
        self.gone = False

    @property
    def started(self) -> bool:
        """Whether the status has been sent, after which it can't be another."""
        return self.status != 0

    @property
    def writable(self) -> bool:
        """Whether the client takes what is written as fast as it comes."""
        return self._line.writable

    def pause_reading(self) -> None:
        """Let the rest of the request's body wait in the kernel."""
        self._line.pause_reading()

    def resume_reading(self) -> None:
        """Take it again."""
        self._line.resume_reading()

    def hand_to(self, sink: Sink) -> None:
        """Have the rest of the request taken by somebody else."""
        self._line.hand_to(self, sink)

    def go_ahead(self) -> None:
        """Tell a client that asks first that its body is welcome."""
        transport = self._line.transport
        if transport is not None and not self.started:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def whole(
        self, status: int, content: bytes, *, content_type: bytes = JSON, headers: Iterable[Header] = ()
    ) -> None:
        """Send everything at once."""
        transport = self._line.transport
        if transport is None or self.started:
            return
        typed = (
            ()
            if status == 204
            else ((b"content-type", content_type), (b"content-length", b"%d" % len(content)))
        )
        head = self._begin(status, (*typed, *headers))
        if self._head is not None and self._head.method == "HEAD":
            content = b""
        transport.write(head + content)
        self._finish()

    def json(self, content: bytes) -> None:
        """Send a 200 with this content at once: `whole`, as nearly all need it."""
        transport, head = self._line.transport, self._head
        if self.closes or head is None or not head.one_point_one or head.method == "HEAD":
            self.whole(200, content)
            return
        if transport is None or self.status:
            return
        self.status = 200
        extra = self.extra
        if len(extra) == 1:
            name, value = extra[0]
            more = b"%b: %b\r\n" % (name, value)
        else:
            more = b"".join([b"%b: %b\r\n" % each for each in extra])
        transport.write(_JSON_ANSWER % (self._date_line, len(content), more, content))
        self.ended = True
        self._line.reply_ended()

    def open_events(self, headers: Iterable[Header] = ()) -> None:
        """Begin a stream of events; its head goes out with the first of them."""
        self.events = True
        self.open(200, (*_EVENTS, *headers))

    def open(self, status: int, headers: Iterable[Header]) -> None:
        """Begin an answer that comes in pieces; `headers` may hold its length."""
        transport = self._line.transport
        if transport is None or self.started:
            return
        given = tuple(headers)
        if not any(name == b"content-length" for name, _ in given):
            if self._head is not None and self._head.one_point_one:
                self._chunked = True
                given = (*given, _CHUNKED)
            else:
                self.closes = True
        begun = self._begin(status, given)
        if self.events:
            self._pending = begun
        else:
            transport.write(begun)

    def write(self, data: bytes) -> None:
        """Send a piece; of a stream, whole events."""
        transport = self._line.transport
        if transport is None or self.ended or not data:
            return
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        if self._pending:
            framed, self._pending = self._pending + framed, b""
        transport.write(framed)

    def end(self, data: bytes = b"") -> None:
        """Send the last piece; it is complete."""
        transport = self._line.transport
        if transport is None or self.ended:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else _LAST_CHUNK
        data = self._pending + data
        if data:
            transport.write(data)
        self._finish()

    def break_off(self) -> None:
        """End an answer that can't be completed, so that the client sees it."""
        if not self.ended:
            self.ended = True
            self._line.abort()

    def _begin(self, status: int, headers: tuple[Header, ...]) -> bytes:
        self.status = status
        kept: tuple[Header, ...] = ()
        if self.closes:
            kept = (_CLOSE,)
        elif self._head is not None and not self._head.one_point_one:
            kept = (_STAY,)
        return answer_head(status, self._date_line, (*headers, *self.extra, *kept))

    def _finish(self) -> None:
        self.ended = True
        self._line.reply_ended()
