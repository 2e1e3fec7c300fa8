"""However a client's bytes are cut, the same requests are understood and answered in their order."""

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from hostler_router.wire.client_connection import ClientConnection
from hostler_router.wire.heads import Head
from hostler_router.wire.outbox import Outbox
from hostler_router.wire.reply import Reply, Sink


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and holds back what comes while reading is paused, as a kernel does."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.hung_up = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def write_eof(self) -> None:
        """Nothing more is written."""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.hung_up

    def close(self) -> None:
        self.hung_up = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0


@dataclass
class Exchange:
    """A request as it was understood, answered when the test says so."""

    head: Head
    reply: Reply
    body: bytes = b""
    whole: bool = False
    gone: bool = False

    def on_body(self, data: bytes) -> None:
        assert not self.whole
        self.body += data

    def on_end(self) -> None:
        assert not self.whole
        self.whole = True

    def on_gone(self) -> None:
        self.gone = True

    def on_drained(self) -> None:
        """Nobody waits for that."""


@dataclass
class Keeper:
    """A server that answers one path at once and the others when told."""

    closing: bool = False
    outbox: Outbox = field(default_factory=lambda: Outbox(lambda flush: None, lambda: 0.0))
    keep_alive_seconds: float = 75
    head_timeout_seconds: float = 15
    time: float = 0
    exchanges: list[Exchange] = field(default_factory=list)

    def begin(self, head: Head, reply: Reply) -> Sink | None:
        exchange = Exchange(head, reply)
        self.exchanges.append(exchange)
        if head.target == b"/now":
            reply.whole(200, b"now")
            return None
        return exchange

    def refuse(self, message: str) -> tuple[bytes, bytes]:
        return b"text/plain", message.encode()

    def now(self) -> float:
        return self.time

    @property
    def date_line(self) -> bytes:
        return b"date: x\r\n"

    def opened(self, connection: ClientConnection) -> None: ...

    def linger(self, connection: ClientConnection) -> None: ...

    def closed(self, connection: ClientConnection) -> None: ...


BODIES = st.binary(max_size=40)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, str, bytes]:
    """A request on the wire, its path, and its body."""
    path = draw(st.sampled_from(("/now", "/later")))
    body = draw(BODIES)
    chunks = draw(st.lists(st.integers(1, 15), max_size=4)) if draw(st.booleans()) else None
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Number: {len(body)}\r\n".encode()
    if chunks is None:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, path, body
    wire, rest = head + b"Transfer-Encoding: chunked\r\n\r\n", body
    for size in chunks:
        piece, rest = rest[:size], rest[size:]
        if piece:
            wire += b"%x\r\n%b\r\n" % (len(piece), piece)
    if rest:
        wire += b"%x\r\n%b\r\n" % (len(rest), rest)
    return wire + b"0\r\nX-Trailer: late\r\n\r\n", path, body


def pieces_of(data: bytes, cuts: list[int]) -> deque[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return deque(data[a:b] for a, b in itertools.pairwise(places) if b > a)


@given(
    asked=st.lists(messages(), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 10_000), max_size=30),
    patience=st.lists(st.booleans(), max_size=40),
    quick=st.booleans(),
)
def test_requests_cut_anywhere_are_the_same_requests(
    asked: list[tuple[bytes, str, bytes]], cuts: list[int], patience: list[bool], *, quick: bool
) -> None:
    keeper, wire = Keeper(outbox=Outbox(lambda flush: None, lambda: 0.0, quick=quick)), Wire()
    connection = ClientConnection(keeper)
    connection.connection_made(wire)
    incoming = pieces_of(b"".join(data for data, _, _ in asked), cuts)
    turns = iter(patience)

    def answer_what_is_whole() -> bool:
        for number, each in enumerate(keeper.exchanges):
            if each.whole and not each.reply.ended:
                each.reply.whole(200, b"%d" % number)
                return True
        return False

    while True:
        if wire.reading and incoming:
            connection.data_received(incoming.popleft())
            if not next(turns, True):
                answer_what_is_whole()
            if not next(turns, True):
                keeper.outbox.flush()  # the turn of the event loop is over
        elif not answer_what_is_whole():
            break
    keeper.outbox.flush()
    assert not incoming
    assert not wire.hung_up
    assert [each.head.target.decode() for each in keeper.exchanges] == [path for _, path, _ in asked]
    for each, (_, path, body) in zip(keeper.exchanges, asked, strict=True):
        assert each.head.headers[b"x-number"] == b"%d" % len(body)
        assert b"x-trailer" not in each.head.headers
        if path == "/later":
            assert each.body == body
    said = [part.partition(b"\r\n\r\n")[2] for part in wire.written.split(b"HTTP/1.1 200 OK")[1:]]
    assert said == [b"now" if path == "/now" else b"%d" % number for number, (_, path, _) in enumerate(asked)]


@given(junk=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=10), quick=st.booleans())
def test_junk_is_answered_or_hung_up_on_and_never_raises(
    junk: bytes, cuts: list[int], *, quick: bool
) -> None:
    keeper, wire = Keeper(outbox=Outbox(lambda flush: None, lambda: 0.0, quick=quick)), Wire()
    connection = ClientConnection(keeper)
    connection.connection_made(wire)
    for piece in pieces_of(b"GET /now HTTP/1.1\r\nHost: x\r\n\r\n" + junk, cuts):
        connection.data_received(piece)
    keeper.outbox.flush()
    assert wire.written.startswith(b"HTTP/1.1 200 OK")
    connection.connection_lost(None)
    assert connection.transport is None
