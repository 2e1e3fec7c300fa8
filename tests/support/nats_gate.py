"""A gate between one service and NATS that holds back what the service publishes under some subject, until a test lets it go.

It stands where a slow network would, and makes the instant between "decided" and "stored" as long as a test wants it. Everything
else passes at once: answers, renewals of a lease, other messages. What is held back keeps its place among its own kind.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class NatsGate:
    """Passes a NATS client's frames on one by one; `hold` chooses which stay."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._prefix: bytes | None = None
        self._held: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._something_held = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def held(self) -> list[bytes]:
        """The frames that wait, with their headers."""
        return [frame for _, frame in self._held]

    def hold(self, subject_prefix: str) -> None:
        """From now on keep back what is published under subjects that begin like this."""
        self._prefix = subject_prefix.encode()

    async def until_held(self, *, timeout_seconds: float = 60.0) -> None:
        """Come back when something waits."""
        async with asyncio.timeout(timeout_seconds):
            await self._something_held.wait()

    async def let_go(self) -> None:
        """Pass on what waits, and hold nothing more."""
        self._prefix = None
        held, self._held = self._held, []
        for writer, frame in held:
            writer.write(frame)
            await writer.drain()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            both = {writer, far_writer}
            self._writers |= both
            await asyncio.gather(self._pass_frames(reader, far_writer), _pass_bytes(far_reader, writer))
            self._writers -= both

    async def _pass_frames(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                words = line.split()
                frame = line
                if words and words[0] in (b"PUB", b"HPUB"):
                    # The last word is the length of headers and body together; a line end follows them.
                    frame += await reader.readexactly(int(words[-1]) + 2)
                    if self._prefix is not None and words[1].startswith(self._prefix):
                        self._held.append((writer, frame))
                        self._something_held.set()
                        continue
                writer.write(frame)
                await writer.drain()
        writer.close()


async def _pass_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def nats_gate(server_port: int) -> AsyncIterator[NatsGate]:
    gate = NatsGate(server_port)
    await gate.start()
    try:
        yield gate
    finally:
        await gate.stop()
