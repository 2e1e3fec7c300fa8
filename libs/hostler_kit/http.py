"""Serving an ASGI application inside a process that has other things to do.

uvicorn does the work; what is added is that several processes may share a port (SO_REUSEPORT) and that signals stay with
the chassis, which decides in what order things stop.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hostler_kit.sockets import listening_socket


class _Protocol(HttpToolsProtocol):
    """Says in JSON, as everything else here, that what came is no HTTP: no application has seen it, so none can."""

    def send_400_response(self, msg: str) -> None:
        """Answer and hang up."""
        body = json.dumps(
            {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": msg}
        ).encode()
        self.transport.write(
            b"".join(
                (
                    STATUS_LINE[400],
                    b"content-type: application/problem+json\r\n",
                    b"content-length: %d\r\n" % len(body),
                    b"connection: close\r\n\r\n",
                    body,
                )
            )
        )
        self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """One application on one port.

    Usage: `await start()`, then at the end `await stop()`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        share_port: bool = False,
        drain_timeout_seconds: float = 20.0,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        self._socket = listening_socket(host, port, share=share_port)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=_Protocol,
            ws="none",
            server_header=False,
            date_header=True,
            proxy_headers=False,
            timeout_graceful_shutdown=max(int(drain_timeout_seconds), 1),
            timeout_keep_alive=75,
            headers=headers or [],
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen; connections are accepted once this returns."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({listening, self._task}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Take no new connections, let answers under way finish within the drain timeout, then close."""
        if self._task is None:
            return
        self._server.should_exit = True
        await self._task
