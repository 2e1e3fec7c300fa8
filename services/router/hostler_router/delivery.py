"""How one try of a request gets to its replica: the replica's key, a connection, and the bytes, those of a form as they come.

Made by the try, which listens to the connection and is told here whether there is one. Nothing is waited for: where key or
connection are not at hand, whatever brings them calls.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from hostler_router.parts import RouterParts
from hostler_router.replica_keys import KeyUnavailable
from hostler_router.table import Endpoint
from hostler_router.upload_spool import FormBody, Passage
from hostler_router.wire.addresses import Address
from hostler_router.wire.replica_connection import Listener, ReplicaConnection

_STALE_CONNECTIONS_MAX: Final = 8


class Sender(Listener, Protocol):
    """The try that a request is sent for; it listens to the answer."""

    def on_sending(self) -> None:
        """There is a connection, and the request goes out on it."""

    def on_unreachable(self) -> None:
        """There is no connection to be had, or no key."""

    def on_bug(self) -> None:
        """An exception that nobody expected is being handled."""


class HeadOf(Protocol):
    """Makes the head of a request for a replica."""

    def __call__(self, address: Address, key: str | None, body: bytes | FormBody) -> bytes:
        """The head, with its blank line."""


class Delivery:
    """A request on its way to one replica.

    Attributes:
        connection: It goes out on this one and the answer comes back; None before that, and once it is lost or not needed any more.
    """

    __slots__ = (
        "_body",
        "_call_off",
        "_endpoint",
        "_head_of",
        "_parts",
        "_passage",
        "_sender",
        "_stale",
        "connection",
    )

    def __init__(
        self,
        sender: Sender,
        parts: RouterParts,
        endpoint: Endpoint,
        head_of: HeadOf,
        body: bytes | FormBody,
    ) -> None:
        """Prepare it.

        Args:
            sender: Hears of the connection.
            parts: What requests work with.
            endpoint: The replica.
            head_of: Gives the request's head for it.
            body: What is sent.
        """
        self._sender: Sender | None = sender  # None once it is over, since the two hold each other
        self._parts = parts
        self._endpoint = endpoint
        self._head_of = head_of
        self._body = body
        self._call_off: Callable[[], None] | None = None
        self._passage: Passage | None = None
        self._stale = 0
        self.connection: ReplicaConnection | None = None

    def start(self) -> None:
        """Send the request, on a connection that is open already or on a new one."""
        parts, sender, url = self._parts, self._sender, self._endpoint.url
        if sender is None:
            return
        try:
            key = parts.replica_keys.known(self._endpoint)
        except KeyError:
            self._fetch_key()
            return
        connection = parts.pool.take(url)
        if connection is not None:
            self._send(sender, connection, key)
        else:
            self._connect(key)

    def take_over(self, connection: ReplicaConnection | None) -> None:
        """It was sent by somebody else, on this connection."""
        self.connection = connection
        if connection is not None and self._sender is not None:
            connection.hand_to(self._sender)

    @property
    def arrives(self) -> bool:
        """Whether the client has not sent all of the body yet."""
        return isinstance(self._body, FormBody) and not self._body.whole

    def send_more(self) -> None:
        """Send what is here of a form, as far as the replica takes it."""
        passage, connection = self._passage, self.connection
        if passage is None or connection is None:
            return
        while connection.writable and self.connection is connection:
            piece = passage.take()
            if not piece:
                return
            connection.write(piece)
            if passage.done:
                connection.sending = False
                self._passage = None
                return

    def send_no_more(self) -> None:
        """The replica has made up its mind, and writing on to one that hangs up could cost us its words."""
        self._passage = None

    def forget_body(self) -> None:
        """It is never sent again."""
        self._body = b""

    def is_stale(self, *, answered: bool) -> bool:
        """The connection broke: whether that says nothing about the replica, because it was a kept one that had been closed meanwhile.

        The request may be started again then, on another connection.

        Args:
            answered: Something had come back.
        """
        connection, self.connection = self.connection, None
        self._passage = None
        if connection is None or connection.requests <= 1 or answered:
            return False
        self._stale += 1
        return self._stale < _STALE_CONNECTIONS_MAX

    def end(self, *, keep: bool) -> None:
        """Give up the connection, or what is done to get one; `keep` leaves it for the next request."""
        self._sender = self._passage = None
        if self._call_off is not None:
            self._call_off()
            self._call_off = None
        connection, self.connection = self.connection, None
        if connection is not None:
            if keep:
                connection.settle()
            else:
                connection.close()

    def _send(self, sender: Sender, connection: ReplicaConnection, key: str | None) -> None:
        self.connection = connection
        sender.on_sending()
        body = self._body
        head = self._head_of(self._parts.pool.address(self._endpoint.url), key, body)
        if isinstance(body, FormBody):
            connection.send(sender, head, b"")
            connection.sending = True
            self._passage = Passage(body)
            self.send_more()
        else:
            connection.send(sender, head, body)

    def _connect(self, key: str | None) -> None:
        pool, url = self._parts.pool, self._endpoint.url

        def connected(made: ReplicaConnection | None) -> None:
            self._call_off = None
            sender = self._sender
            if sender is None:
                if made is not None:
                    pool.put_back(made)
            elif made is None:
                sender.on_unreachable()
            else:
                self._guarded(sender, lambda: self._send(sender, made, key))

        self._call_off = pool.connect(url, connected)

    def _fetch_key(self) -> None:
        async def fetch() -> None:
            try:
                await self._parts.replica_keys.fetch(self._endpoint)
            except KeyUnavailable:
                if self._sender is not None:
                    self._sender.on_unreachable()
                return
            if self._sender is not None:
                self._guarded(self._sender, self.start)

        def call_off() -> None:
            if task is not asyncio.current_task():
                task.cancel()

        task = asyncio.create_task(fetch())
        self._call_off = call_off

    def _guarded(self, sender: Sender, act: Callable[[], None]) -> None:
        """Do something that nobody waits for, so that a bug in it reaches the request."""
        try:
            act()
        except Exception:  # noqa: BLE001  # logged by the request
            sender.on_bug()
