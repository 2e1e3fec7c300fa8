"""A cable between a client and a server that a test can cut, or make long."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class TcpProxy:
    """Passes bytes on while it is whole; cut, it breaks every connection and drops new ones.

    Attributes:
        delay_seconds: By how much later what the server says arrives.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.delay_seconds = 0.0
        self._whole = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        self._whole = False
        for writer in self._writers:
            writer.close()

    def mend(self) -> None:
        self._whole = True

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.close()
            return
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._writers |= {writer, far_writer}
            await asyncio.gather(
                _pass_on(reader, far_writer, lambda: 0.0),
                _pass_on(far_reader, writer, lambda: self.delay_seconds),
            )
            self._writers -= {writer, far_writer}


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: Callable[[], float]
) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            await asyncio.sleep(delay_seconds())
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tcp_proxy(port: int) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
