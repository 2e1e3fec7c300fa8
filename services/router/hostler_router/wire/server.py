"""The public port: accepts connections, and lets them end in order.

Several processes may share the port (SO_REUSEPORT). Made by the service; knows nothing of what is asked for.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hostler_kit.sockets import listening_socket
from hostler_router.timer_wheel import TimerWheel
from hostler_router.wire.client_connection import ClientConnection
from hostler_router.wire.heads import date_line
from hostler_router.wire.keeper import Begin
from hostler_router.wire.outbox import Outbox
from hostler_router.wire.reply import JSON

_LOOK_SECONDS: Final = 0.02
_LINGER_SECONDS: Final = 1.0


class Server:
    """Takes requests on one port.

    Attributes:
        begin: Takes a request.
        now: Gives monotonic seconds.
        outbox: Takes what is written to the connections.
        closing: Nothing new is begun on any connection.
        connections: Open ones.
        date_line: The `date` header; made once a second, for thousands of answers.
    """

    def __init__(
        self,
        begin: Begin,
        *,
        wheel: TimerWheel,
        host: str,
        port: int,
        head_timeout_seconds: float,
        keep_alive_seconds: float,
        now: Callable[[], float],
        outbox: Outbox,
        on_open: Callable[[], None],
        on_close: Callable[[], None],
    ) -> None:
        # What every request asks for costs no method around it.
        self.begin: Final = begin
        self.now: Final = now
        self.outbox = outbox
        self._wheel = wheel
        self._socket = listening_socket(host, port, share=True)
        self._on_open, self._on_close = on_open, on_close
        self.date_line = date_line(time.time())
        self._server: asyncio.Server | None = None
        self.head_timeout_seconds = head_timeout_seconds
        self.keep_alive_seconds = keep_alive_seconds
        self.closing = False
        self.connections: set[ClientConnection] = set()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen; connections are accepted once this returns."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ClientConnection(self), sock=self._socket)
        self._wheel.arm(self, self.now())

    def stop_listening(self) -> None:
        """Take no new connections, and no new requests on those that wait for one."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        else:
            self._socket.close()
        for connection in tuple(self.connections):
            if connection.idle:
                connection.close()

    async def close(self, timeout_seconds: float) -> None:
        """Wait for clients to take in what was written to them, then hang up on whoever is left."""
        self.stop_listening()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.connections:  # noqa: ASYNC110  # many connections end; none of them matters alone
                    await asyncio.sleep(_LOOK_SECONDS)
        for connection in tuple(self.connections):
            connection.abort()

    # What connections ask.

    def refuse(self, message: str) -> tuple[bytes, bytes]:
        """OpenAI's shape, as for every other error."""
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "bad_request"}
        return JSON, json.dumps({"error": error}).encode()

    def opened(self, connection: ClientConnection) -> None:
        """A connection was made."""
        self.connections.add(connection)
        self._on_open()
        self._wheel.arm(connection, self.now() + self.head_timeout_seconds)

    def due_again(self, now: float) -> float:
        """A second is over."""
        unix_seconds = time.time()
        self.date_line = date_line(unix_seconds)
        return now + 1 - unix_seconds % 1

    def linger(self, connection: ClientConnection) -> None:
        """Hang up on it shortly."""
        self._wheel.arm(connection, self.now() + _LINGER_SECONDS)

    def closed(self, connection: ClientConnection) -> None:
        """It is gone."""
        if connection in self.connections:
            self.connections.discard(connection)
            self._on_close()
        self._wheel.disarm(connection)
