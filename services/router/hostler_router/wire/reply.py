"""The answer to one request: whole or visibly broken.

Made by the connection for each request, used by whatever answers it: either `whole`, or `open...` and then `write` as often as
needed and `end`. What is left without its end is broken off, so that a client never takes a part for the whole.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from hostler_router.wire.heads import Head, Header, answer_head
from hostler_router.wire.outbox import Outbox

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

    transport: asyncio.Transport | None
    """None once it is gone."""
    outbox: Outbox
    writable: bool

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
        lines: Headers that go with whatever is answered, such as the request's id, as they are written; to be filled before anything is sent.
        extra: More such headers.
        status: What was sent; 0 before that.
        events: A stream of events was begun.
        ended: Everything was sent.
        gone: The client hung up before that.
        closes: The connection ends with it.
    """

    # Most of them stay what they are here, and cost an answer nothing.
    lines: bytes = b""
    extra: tuple[Header, ...] = ()
    status: int = 0
    events: bool = False
    ended: bool = False
    gone: bool = False
    _chunked: bool = False
    _pending: bytes = b""

    def __init__(self, line: Line, head: Head | None, *, keep_alive: bool, date_line: bytes) -> None:
        self._line = line
        self._head = head
        self._date_line = date_line
        self.closes = not keep_alive

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
            self._line.outbox.put(transport, b"HTTP/1.1 100 Continue\r\n\r\n")

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
        self._line.outbox.put(transport, head + content)
        self._finish()

    def json(self, content: bytes) -> None:
        """Send a 200 with this content at once: `whole`, as nearly all need it."""
        line, head = self._line, self._head
        transport = line.transport
        if self.closes or head is None or not head.one_point_one or head.method == "HEAD":
            self.whole(200, content)
            return
        if transport is None or self.status:
            return
        self.status = 200
        lines = self.lines
        if self.extra:
            lines += b"".join([b"%b: %b\r\n" % each for each in self.extra])
        line.outbox.put(transport, _JSON_ANSWER % (self._date_line, len(content), lines, content))
        self.ended = True
        line.reply_ended()

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
            self._line.outbox.put(transport, begun)

    def write(self, data: bytes) -> None:
        """Send a piece; of a stream, whole events."""
        transport = self._line.transport
        if transport is None or self.ended or not data:
            return
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        if self._pending:
            framed, self._pending = self._pending + framed, b""
        self._line.outbox.put(transport, framed)

    def end(self, data: bytes = b"") -> None:
        """Send the last piece; it is complete."""
        transport = self._line.transport
        if transport is None or self.ended:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else _LAST_CHUNK
        data = self._pending + data
        if data:
            self._line.outbox.put(transport, data)
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
        return answer_head(status, self._date_line, (*headers, *self.extra, *kept), self.lines)

    def _finish(self) -> None:
        self.ended = True
        self._line.reply_ended()
