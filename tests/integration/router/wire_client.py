"""A client that sends exactly the bytes it is told to, and reads answers with a parser of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httptools

from tests.integration.router.harness import ALICE_KEY, Harness

CHAT = "/v1/chat/completions"
BODY = b'{"model":"chat","messages":[{"role":"user","content":"hi"}]}'


def request(
    path: str = CHAT,
    body: bytes | None = BODY,
    *lines: str,
    method: str = "POST",
    version: str = "1.1",
    key: str = ALICE_KEY,
) -> bytes:
    """A request; `lines` are further headers, and a body of None leaves its length out."""
    head = [f"{method} {path} HTTP/{version}", "Host: x", f"Authorization: Bearer {key}", *lines]
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + (body or b"")


@dataclass
class Answer:
    """An answer as it came.

    Attributes:
        headers: By name in lower case; each may have come several times.
        whole: Its end has come too.
    """

    status: int = 0
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False


class WireClient:
    """One connection.

    Attributes:
        reader: For tests that read for themselves.
        answers: What came, in its order; `100 Continue` among them.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.answers: list[Answer] = []
        self._writer = writer
        self._parser = httptools.HttpResponseParser(self)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, number: int = 0) -> Answer:
        """The answer of this number, when it is whole."""
        async with asyncio.timeout(10):
            while len(self.answers) <= number or not self.answers[number].whole:
                data = await self.reader.read(65_536)
                assert data, f"hung up on after {self.answers}"
                self._parser.feed_data(data)
        return self.answers[number]

    async def until_closed(self) -> bytes:
        """Everything that comes until the router hangs up."""
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def hang_up(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self.answers.append(Answer())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answers[-1].headers.setdefault(name.decode().lower(), []).append(value.decode())

    def on_headers_complete(self) -> None:
        self.answers[-1].status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self.answers[-1].body += data

    def on_message_complete(self) -> None:
        self.answers[-1].whole = True


@asynccontextmanager
async def wire_client(router: Harness) -> AsyncIterator[WireClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", router.router.port, limit=2**16)
    client = WireClient(reader, writer)
    try:
        yield client
    finally:
        await client.hang_up()
