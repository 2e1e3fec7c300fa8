"""One connection to NATS that is kept for ever.

The client library's own reconnecting is switched off: it gives up for good on some errors of the server (a refusal after a
reload, for one) and then has to be replaced anyway. So there is one way only: whenever a client ends, whatever the reason, a
new one is made, with backoff, and `NatsBus` puts on it what the old one had. The bus is the only caller.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import nats.errors
import structlog
from nats.aio.client import Client

from hostler_bus.errors import BusClosed, BusError, BusRefused, BusUnavailable
from hostler_bus.nats_calls import heed, settle
from hostler_bus.permissions import inbox_prefix

_BACKOFF_SECONDS_MIN = 0.05
_BACKOFF_SECONDS_MAX = 2.0
_CONNECT_TIMEOUT_SECONDS = 2
_DRAIN_TIMEOUT_SECONDS = 5
_PING_INTERVAL_SECONDS = 5

T = TypeVar("T")

log = structlog.get_logger("hostler.bus")


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How to connect.

    Attributes:
        url: Of the server, or several with commas between them.
        user: Whose permissions count.
        password: Of the user; never shown.
        name: Of this process, as the server shows it.
    """

    url: str
    user: str | None
    password: str | None = field(repr=False)
    name: str

    @property
    def address(self) -> str:
        """The servers for messages, without any credentials that the URL may hold."""
        return ",".join(_host(url) for url in self.url.split(","))

    @property
    def inbox_prefix(self) -> str:
        """Where replies arrive."""
        return inbox_prefix(self.user)


class Link:
    """The connection, or the hope of it."""

    def __init__(self, options: LinkOptions, on_connected: Callable[[Client], Awaitable[None]]) -> None:
        """Make a link that is not connected yet.

        Args:
            options: How to connect.
            on_connected: Called with every new client before anyone else gets it; what it raises drops the client again.
        """
        self._options = options
        self._on_connected = on_connected
        self._client: Client | None = None
        self._up = asyncio.Event()
        self._gone = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._calls = 0
        self._closing = False
        self._reviving: asyncio.Task[None] | None = None
        self.on_lost: set[Callable[[], None]] = set()
        """Called when the connection is lost and when the link is closed."""
        self.error_count = 0
        """Errors that the server or the library reported outside of any call."""
        self.last_error = ""
        """The latest of them: the only place where a denied permission shows."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._up.is_set() and not self._closing

    @property
    def options(self) -> LinkOptions:
        """How it connects."""
        return self._options

    @property
    def closing(self) -> bool:
        """Whether it was told to close: nothing new may begin."""
        return self._closing

    @property
    def finishing(self) -> bool:
        """Whether it is being closed and what was begun may still be answered."""
        return self._closing and not self._gone.is_set()

    def begin(self) -> None:
        """Something waits for an answer from now on; closing waits for its end."""
        self._calls += 1
        self._idle.clear()

    def end(self) -> None:
        """It does not any more."""
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def connect(self, timeout_seconds: float) -> None:
        """Connect for the first time.

        Raises:
            BusRefused: the server does not take the credentials.
            BusUnavailable: no server in time.
        """
        reason = "no answer"
        try:
            async with asyncio.timeout(timeout_seconds):
                for pause in _pauses():
                    try:
                        await self._open()
                    except BusUnavailable as error:
                        reason = str(error)
                    else:
                        return
                    await asyncio.sleep(pause)
        except TimeoutError as error:
            raise BusUnavailable(
                f"no NATS at {self._options.address} within {timeout_seconds:g} s: {reason}"
            ) from error

    async def client(self, timeout_seconds: float) -> Client:
        """The client, as soon as there is one.

        Raises:
            BusClosed: the link was closed.
            BusUnavailable: there was none in time.
        """
        if not self._up.is_set() and not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(timeout_seconds, 0)):
                    await self._up.wait()
        if self._closing:
            raise BusClosed("the connection to NATS was closed")
        if self._client is None or not self._up.is_set():
            raise BusUnavailable(f"not connected to NATS at {self._options.address}")
        return self._client

    async def call(self, call: Awaitable[T], timeout_seconds: float) -> T:
        """What a call of the library gives; `TimeoutError` when time runs out or the connection is lost.

        Without this a call waits out its time for the answer of a server that is gone.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_seconds) as limit:

            def give_up() -> None:
                if not self.finishing and not limit.expired():
                    limit.reschedule(loop.time())

            self.on_lost.add(give_up)
            self.begin()
            try:
                return await heed(call)
            finally:
                self.on_lost.discard(give_up)
                self.end()

    async def close(self) -> None:
        """Finish what was begun, as far as the server lets us, and disconnect."""
        if self._closing:
            return
        self._closing = True
        if self._reviving is not None:
            self._reviving.cancel()
            await asyncio.wait((self._reviving,))
        self._tell_lost()  # ends the follows; calls may still finish
        client = self._client
        if client is not None:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(_DRAIN_TIMEOUT_SECONDS):
                    await self._idle.wait()
                    await settle(client)
            await _discard(client)
        self._client = None
        self._gone.set()
        self._tell_lost()  # whatever call is still waiting waits for nothing
        self._up.set()  # wakes those that wait for a connection, who then see that it is closed

    async def _open(self) -> None:
        client, gone = Client(), asyncio.Event()

        async def closed() -> None:
            gone.set()
            if client is self._client:
                self._lost()

        try:
            await heed(
                client.connect(
                    servers=self._options.url.split(","),
                    user=self._options.user,
                    password=self._options.password,
                    name=self._options.name,
                    inbox_prefix=self._options.inbox_prefix,
                    error_cb=self._note_error,
                    closed_cb=closed,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=_CONNECT_TIMEOUT_SECONDS,
                    ping_interval=_PING_INTERVAL_SECONDS,
                    drain_timeout=_DRAIN_TIMEOUT_SECONDS,
                    pending_size=0,  # nothing is kept for a later connection: what is retried is retried by its message id
                )
            )
            # A client can be made whose handshake was not finished; then this fails.
            await heed(client.flush(_CONNECT_TIMEOUT_SECONDS))
            await heed(self._on_connected(client))
        except (nats.errors.Error, OSError, TimeoutError) as error:
            await _discard(client)
            if "authorization violation" in str(error).lower():
                user = self._options.user or "(nobody)"
                raise BusRefused(
                    f"NATS at {self._options.address} refuses the credentials of {user}"
                ) from error
            raise BusUnavailable(str(error) or type(error).__name__) from error
        except BaseException:
            await _discard(client)
            raise
        self._client, self._gone = client, gone
        if client.is_closed:  # lost again in between, when nobody listened yet
            self._lost()
        else:
            self._up.set()

    def _lost(self) -> None:
        self._client = None
        self._up.clear()
        if self._closing:
            self._tell_lost()
            return
        log.warning("bus.lost", address=self._options.address, reason=self.last_error)
        self._tell_lost()
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.create_task(self._revive(), name="bus-revive")

    async def _revive(self) -> None:
        for pause in _pauses():
            await asyncio.sleep(pause)
            try:
                await self._open()
            except BusError as error:
                log.info("bus.retry", address=self._options.address, reason=str(error))
                continue
            if self._up.is_set():
                log.info("bus.connected_again", address=self._options.address)
                return

    def _tell_lost(self) -> None:
        for tell in tuple(self.on_lost):
            tell()

    async def _note_error(self, error: Exception) -> None:
        self.error_count += 1
        self.last_error = str(error) or type(error).__name__
        log.debug("bus.error", reason=self.last_error)


def _pauses() -> Iterator[float]:
    """Ever longer pauses, each with some chance in it, so that five services don't knock in step."""
    pause = _BACKOFF_SECONDS_MIN
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  # no secret depends on it
        pause = min(pause * 2, _BACKOFF_SECONDS_MAX)


async def _discard(client: Client) -> None:
    """Close a client, in whatever state it is."""
    with suppress(nats.errors.Error, OSError, TimeoutError):
        await client.close()


def _host(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return f"{parts.hostname}:{parts.port or 4222}"
