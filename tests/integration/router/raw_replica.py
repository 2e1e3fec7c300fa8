"""A replica that sends exactly the bytes it is told to, in the pieces it is told to, and then leaves: for what lies between whole events."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum

import httptools


class Leave(StrEnum):
    """How it goes when it has sent its bytes."""

    FIN = "fin"
    RST = "rst"
    STAY = "stay"


class RawReplica:
    """One server; what it sends may be changed between requests.

    Attributes:
        url: Where it is.
        pieces: What it answers any request with, one write each.
        leave: What it does then.
        bodies: Of the requests that it got.
        transports: Of all connections.
        answers_heads: It answers when it has seen the head, and reads no more then.
    """

    def __init__(self) -> None:
        self.url = ""
        self.pieces: Sequence[bytes] = ()
        self.leave = Leave.FIN
        self.bodies: list[bytes] = []
        self.answers_heads = False
        self.transports: list[asyncio.Transport] = []
        self._writing: set[asyncio.Task[None]] = set()

    def serve(self) -> "_Connection":
        return _Connection(self)

    def answer(self, transport: asyncio.Transport) -> None:
        task = asyncio.create_task(self._answer(transport))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _answer(self, transport: asyncio.Transport) -> None:
        for piece in self.pieces:
            transport.write(piece)
            await asyncio.sleep(0)
        if self.leave is Leave.RST:
            # Bytes that were sent are read before the reset only if the reader gets a chance.
            await asyncio.sleep(0.003)
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        elif self.leave is Leave.FIN:
            transport.close()

    async def stop(self) -> None:
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        for transport in self.transports:
            transport.abort()
        await asyncio.sleep(0.001)  # for them to be told


class _Connection(asyncio.Protocol):
    def __init__(self, replica: RawReplica) -> None:
        self._replica = replica
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._replica.transports.append(transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if self._replica.answers_heads:
            assert self._transport is not None
            self._transport.pause_reading()
            self._replica.answer(self._transport)

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self._replica.bodies.append(self._body)
        self._body = b""
        assert self._transport is not None
        self._replica.answer(self._transport)


@asynccontextmanager
async def raw_replica() -> AsyncIterator[RawReplica]:
    replica = RawReplica()
    server = await asyncio.get_running_loop().create_server(replica.serve, "127.0.0.1", 0)
    replica.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield replica
    await replica.stop()
    server.close()
    await server.wait_closed()


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def chunked(events: Sequence[bytes]) -> bytes:
    """A whole answer with one chunk an event."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)
    return STREAM_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def until_close(events: Sequence[bytes]) -> bytes:
    """A whole answer whose end is the connection's, as of old servers."""
    return STREAM_HEAD + b"Connection: close\r\n\r\n" + b"".join(events)


def document(body: bytes, status: bytes = b"200 OK", content_type: bytes = b"application/json") -> bytes:
    """A whole answer that is no stream."""
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (
        status,
        content_type,
        len(body),
    )
    return head + body
