"""One client's connection: requests are parsed, handed to a handler, and answered in their order.

Made by the server for each connection. A handler gives a `Sink` for each request, which is told of the body as it comes, of the
client's leaving, and of room for more of the answer; it answers through the `Reply` that it was given. What a client sends ahead of
its turn waits in memory, and the connection is not read from meanwhile.
"""

import asyncio
from collections import deque
from typing import Final

import httptools

from hostler_router.wire.heads import Fields, Head, what_is_wrong
from hostler_router.wire.keeper import Keeper
from hostler_router.wire.no_parser import NO_REQUEST
from hostler_router.wire.reply import Reply, Sink

_HEAD_BYTES_MAX: Final = 64 * 1024
_HEADERS_MAX: Final = 100
_METHODS: Final = {b"GET": "GET", b"POST": "POST"}
"""Those that need not be decoded each time."""
_HEAD_TOO_LONG: Final = f"The head of the request is longer than {_HEAD_BYTES_MAX} bytes."

_END: Final = object()


class ClientConnection(asyncio.Protocol):
    """A connection.

    Attributes:
        transport: What it goes by; None once it is gone.
        outbox: Takes what is written to it.
        writable: Whether the client takes what is written as fast as it comes.
    """

    __slots__ = (
        "_backlog",
        "_body_done",
        "_broken",
        "_fields",
        "_given",
        "_in_head",
        "_keeper",
        "_lingering",
        "_parser",
        "_reading_paused",
        "_reply",
        "_said",
        "_since",
        "_sink",
        "_target",
        "_turning",
        "_unproductive",
        "_unsent",
        "on_header",
        "outbox",
        "transport",
        "writable",
    )

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.outbox = keeper.outbox
        self.transport: asyncio.Transport | None = None
        self._given: dict[bytes, bytes] = {}
        # The parser calls this for every header. A method here would cost more than its parsing does.
        self.on_header: Final = self._given.setdefault
        self._parser = httptools.HttpRequestParser(self)
        # The headers of the request before, as they came and as they were read: most of a connection's requests have the same.
        self._said: dict[bytes, bytes] = {}
        self._fields: Fields | None = None
        self._target = b""
        self._in_head = False
        self._reply: Reply | None = None
        self._sink: Sink | None = None
        self._body_done = True
        self._backlog: deque[Head | bytes | object] = deque()
        self._lingering = False
        self._turning = False
        self._unproductive = 0
        self._unsent = -1
        self._broken = False
        self._reading_paused = False
        self._since = keeper.now()
        self.writable = True

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport  # type: ignore[assignment]  # of a stream it is one, though uvloop's does not say so
        self._keeper.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._broken:
            return
        self._unproductive += len(data)
        in_head = self._in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._give_up(400, "This server does not offer to switch protocols.")
        except httptools.HttpParserError as error:
            self._give_up(400, f"The request is not valid HTTP: {what_is_wrong(error)}.")
        else:
            # Also of blank lines, trailers and chunk extensions nobody needs more than that.
            if self._unproductive > _HEAD_BYTES_MAX:
                self._give_up(431, _HEAD_TOO_LONG)
            elif self._in_head and not in_head and self._reply is None:
                self._since = self._keeper.now()  # so long has the rest of the head

    def eof_received(self) -> bool:
        """The client has said its last word; nobody half-closes while an answer is due, so that means it is gone."""
        self.outbox.flush()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """It is over."""
        self.transport = None
        self._broken = True
        self._parser = NO_REQUEST
        sink, self._sink = self._sink, None
        reply, self._reply = self._reply, None
        self._backlog.clear()
        if reply is not None and not reply.ended:
            reply.gone = True
            if sink is not None:
                sink.on_gone()
        self._keeper.closed(self)

    def pause_writing(self) -> None:
        """The client is slower than its answer."""
        self.writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self.writable = True
        if self._sink is not None:
            self._sink.on_drained()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A head begins."""
        self._target = b""
        self._given.clear()
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._target += url

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        parser, given = self._parser, self._given
        if self._broken:
            return  # it came together with what was hung up on
        if len(given) > _HEADERS_MAX:
            self._give_up(431, f"The request has more than {_HEADERS_MAX} headers.")
            return
        # What came since the last request is more than the head, so mostly there is no need to add up.
        if self._unproductive > _HEAD_BYTES_MAX and self._head_bytes > _HEAD_BYTES_MAX:
            self._give_up(431, _HEAD_TOO_LONG)
            return
        self._unproductive = 0
        if parser.should_upgrade():
            return  # the parser ends here by itself
        # Each request has its own length. Trailers come later and are in nobody's head.
        announced = given.pop(b"Content-Length", None) or given.pop(b"content-length", None)
        fields = self._fields
        if fields is None or given != self._said:
            fields = self._fields = Fields(given)
            self._said = given.copy()
            if announced is None and (announced := fields.pop(b"content-length", None)) is not None:
                self._fields = None  # in a spelling of its own, so the next one's would not be looked for
        method, keep_alive = parser.get_method(), parser.should_keep_alive()
        head = Head(
            _METHODS.get(method) or method.decode("latin-1"),
            self._target,
            fields,
            None if announced is None else int(announced),
            keep_alive,
            # What stays open without having said so is no older.
            (keep_alive and b"connection" not in fields) or parser.get_http_version() == "1.1",
        )
        if self._reply is not None or self._backlog:
            self._defer(head)
        else:
            self._begin(head)

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unproductive = 0
        if self._broken:
            return
        if self._backlog:
            self._defer(body)
        elif self._sink is not None:
            self._sink.on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._broken:
            if self._lingering and self.transport is not None:
                self.outbox.flush()
                self.transport.close()
            return
        sink, reply = self._sink, self._reply
        if self._backlog:
            self._defer(_END)
        elif sink is not None and reply is not None and not reply.ended:
            self._body_done = True
            sink.on_end()
        else:
            self._complete()

    # What the reply calls.

    def hand_to(self, reply: Reply, sink: Sink) -> None:
        """Tell this of the request that `reply` answers from now on."""
        if self._reply is reply:
            self._sink = sink

    def reply_ended(self) -> None:
        """The answer is written; the next request may be taken once the body of this one is in."""
        reply = self._reply
        if reply is None:
            return
        if self._body_done:
            keeper = self._keeper
            if reply.closes or self._backlog or self._reading_paused or keeper.closing:
                self._turn_over(close=reply.closes)
            else:
                self._reply = self._sink = None
                self._since = keeper.now()
        elif reply.closes:
            self._linger()
        else:
            self._since = self._keeper.now()  # so long has the rest of the body, which nobody wants

    def pause_reading(self) -> None:
        """Let the client's bytes wait in the kernel."""
        if self.transport is not None and not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take them again."""
        if self.transport is not None and self._reading_paused and not self._backlog:
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def close(self) -> None:
        """Hang up after what was written."""
        self._broken = True
        if self.transport is not None:
            self.outbox.flush()
            self.transport.close()

    def abort(self) -> None:
        """Hang up at once, so that the client sees that what it has is not whole."""
        self._broken = True
        if self.transport is not None:
            self.outbox.flush()
            self.transport.abort()

    # What the server calls.

    @property
    def idle(self) -> bool:
        """Whether no request is under way on it."""
        return self._reply is None and not self._in_head

    def due_again(self, now: float) -> float | None:
        """Hang up on a client that is silent between requests, or in the middle of a head, for too long."""
        transport = self.transport
        if transport is None:
            return None
        if self._broken:
            return self._see_off(transport, now)
        if self._reply is not None:
            if self._reply.ended and now - self._since >= self._keeper.head_timeout_seconds:
                self.close()
            return now + self._keeper.head_timeout_seconds
        limit = self._keeper.head_timeout_seconds if self._in_head else self._keeper.keep_alive_seconds
        if now - self._since < limit:
            return min(self._since + limit, now + self._keeper.head_timeout_seconds)
        if self._in_head:
            self._give_up(408, "The head of the request did not come in time.")
        else:
            self.close()
        return now + self._keeper.head_timeout_seconds

    def _see_off(self, transport: asyncio.Transport, now: float) -> float | None:
        """End what was hung up on, unless its client goes on taking in what was written."""
        transport.close()
        unsent = transport.get_write_buffer_size()
        if unsent == self._unsent:
            transport.abort()
            return None
        self._unsent = unsent
        return now + self._keeper.head_timeout_seconds

    @property
    def _head_bytes(self) -> int:
        return len(self._target) + sum(len(name) + len(value) for name, value in self._given.items())

    def _begin(self, head: Head) -> None:
        self._body_done = False
        keeper = self._keeper
        keep_alive = head.keep_alive and not keeper.closing
        reply = self._reply = Reply(self, head, keep_alive=keep_alive, date_line=keeper.date_line)
        asks_first = b"expect" in head.headers and head.headers[b"expect"].lower() == b"100-continue"
        if asks_first:
            # Refused before the go-ahead: whether the body comes all the same can't be known.
            reply.closes = True
        sink = keeper.begin(head, reply)
        if self._reply is not reply:
            return
        self._sink = sink
        if asks_first and not reply.ended:
            reply.closes = not keep_alive
            reply.go_ahead()

    def _complete(self) -> None:
        self._body_done = True
        reply = self._reply
        if reply is None:
            return
        if reply.ended:
            self._turn_over(close=reply.closes)
        elif self._sink is not None:
            self._sink.on_end()

    def _defer(self, piece: Head | bytes | object) -> None:
        self._backlog.append(piece)
        self.pause_reading()

    def _turn_over(self, *, close: bool) -> None:
        """This request is over on both sides: on to the next."""
        self._reply = self._sink = None
        self._since = self._keeper.now()
        if close or self._keeper.closing:
            self.close()
            return
        if self._turning:
            return  # the loop that has led here goes on; a thousand requests ahead of their turn must not nest as deep
        self._turning = True
        try:
            while self._backlog and not self._is_busy(self._backlog[0]):
                self._take(self._backlog.popleft())
        finally:
            self._turning = False
        self.resume_reading()

    def _is_busy(self, piece: Head | bytes | object) -> bool:
        """Whether `piece`, the next of what came ahead of its turn, has to go on waiting."""
        return self._broken or (self._reply is not None and isinstance(piece, Head))

    def _linger(self) -> None:
        """The rest of the body is not wanted; hung up on at once, the client might lose the answer over it."""
        self._sink = None
        self._broken = self._lingering = True
        if self.transport is not None:
            self.outbox.flush()
            self.transport.write_eof()
            self._keeper.linger(self)

    def _take(self, piece: Head | bytes | object) -> None:
        if isinstance(piece, Head):
            self._begin(piece)
        elif isinstance(piece, bytes):
            if self._sink is not None:
                self._sink.on_body(piece)
        else:
            self._complete()

    def _give_up(self, status: int, message: str) -> None:
        """Say what is wrong, if nothing else is being said, and hang up."""
        if self._broken:
            return
        self._broken = True
        if self._reply is not None:
            if self._reply.ended:
                self.close()
            else:
                self.abort()
            return
        if self.transport is not None:
            content_type, content = self._keeper.refuse(message)
            reply = Reply(self, None, keep_alive=False, date_line=self._keeper.date_line)
            reply.whole(status, content, content_type=content_type)
            self.close()
