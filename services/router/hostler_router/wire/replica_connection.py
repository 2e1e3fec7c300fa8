"""One connection to a replica: a request goes out as bytes, its answer comes back in calls.

Made by the pool. It takes one request at a time and goes back to the pool when the answer was whole and the replica keeps it open;
whoever does not want the rest of an answer closes it, which is how a runtime learns to stop.
"""

import asyncio
from typing import Final, Protocol

import httptools

from hostler_router.wire.no_parser import NO_RESPONSE
from hostler_router.wire.outbox import NOT_WAITING, Outbox

_SMALL_BYTES: Final = 64 * 1024
_HEAD_BYTES_MAX: Final = 256 * 1024


class Listener(Protocol):
    """What waits for an answer."""

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The head came; names are in lower case."""

    def on_data(self, data: bytes) -> None:
        """A piece of the body came."""

    def on_complete(self) -> None:
        """All of the answer has come; the connection is not its own any more."""

    def on_lost(self, *, answered: bool) -> None:
        """The connection broke; `answered` tells whether anything had come back."""

    def on_writable(self) -> None:
        """The replica can take more of the request."""


class Home(Protocol):
    """Where connections come from and go back to."""

    outbox: Outbox

    def put_back(self, connection: "ReplicaConnection") -> None:
        """It is free."""

    def forget(self, connection: "ReplicaConnection") -> None:
        """It is gone."""


class ReplicaConnection(asyncio.Protocol):
    """A connection.

    Attributes:
        url: Of the replica.
        requests: How many were sent on it.
        idle_since: When it became free, in monotonic seconds.
        writable: Whether the replica takes a request's body as fast as it comes.
        sending: More of the request's body comes with `write`; an answer ahead of it ends the connection.
    """

    __slots__ = (
        "_announced",
        "_answered",
        "_bodies",
        "_broken",
        "_given",
        "_headers",
        "_home",
        "_keep",
        "_listener",
        "_outbox",
        "_parser",
        "_paused",
        "_size",
        "_status",
        "_transport",
        "_waits_for",
        "_whole",
        "idle_since",
        "on_header",
        "on_message_begin",
        "requests",
        "sending",
        "url",
        "writable",
    )

    def __init__(self, url: str, home: Home) -> None:
        self.url = url
        self.requests = 0
        self.idle_since = 0.0
        self.writable = True
        self.sending = False
        self._home = home
        self._outbox = home.outbox
        self._transport: asyncio.Transport | None = None
        self._given: dict[bytes, bytes] = {}
        # The parser calls these for every head and header. Methods here would cost more than the parsing does.
        self.on_message_begin: Final = self._given.clear
        self.on_header: Final = self._given.setdefault
        self._parser = httptools.HttpResponseParser(self)
        self._listener: Listener | None = None
        self._headers: dict[bytes, bytes] = {}
        self._bodies: list[bytes] = []
        self._status = 0
        self._size = 0
        self._waits_for = NOT_WAITING
        self._answered = False
        self._announced = False
        self._whole = False
        self._keep = False
        self._paused = False
        self._broken = False

    @property
    def usable(self) -> bool:
        """Whether a request may be sent on it."""
        return self._transport is not None and not self._broken and not self._transport.is_closing()

    @property
    def paused(self) -> bool:
        """Whether its answer waits for the client."""
        return self._paused

    def send(self, listener: Listener, head: bytes, body: bytes) -> None:
        """Send a request; its answer goes to `listener`."""
        self.open(listener)
        transport = self._transport
        if transport is None:
            return
        if len(body) <= _SMALL_BYTES:
            self._waits_for = self._outbox.put(transport, head + body)
        else:
            self._outbox.put(transport, head)
            self._waits_for = self._outbox.put(transport, body)

    def open(self, listener: Listener) -> None:
        """Begin a request whose bytes come with `write`."""
        self._listener = listener
        self._answered = self._announced = self._whole = self._keep = self.sending = False
        self._size = 0
        self.requests += 1

    def hand_to(self, listener: Listener) -> None:
        """Tell somebody else of what is still to come of the answer."""
        if self._listener is not None:
            self._listener = listener

    def write(self, data: bytes) -> None:
        """Send a piece of the request at once, so that `writable` says whether there is room for another."""
        if self._transport is not None:
            if self._waits_for == self._outbox.turn:
                self._outbox.flush()
            self._transport.write(data)

    def settle(self) -> None:
        """The listener has all that it wants; take in the end of the answer, and go back to the pool."""
        self._listener = _NOBODY
        self.resume()

    def close(self) -> None:
        """Hang up; the listener hears nothing more."""
        self._listener = None
        self._broken = True
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Let the answer wait in the kernel, and then at the replica."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Take it again."""
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]  # of a stream it is one, though uvloop's does not say so

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._broken:
            return
        if self._listener is None:  # nobody asked
            self.close()
            return
        self._answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._bodies:
                self._hand_on()
            self._lost()
            return
        if self._bodies:
            self._hand_on()
        if self._whole:
            self._finish()
        elif not self._announced:
            self._size += len(data)
            if self._size > _HEAD_BYTES_MAX:
                self._lost()

    def eof_received(self) -> bool:
        """The replica hung up in good order."""
        if self._announced and not self._whole and self._until_end():
            self._whole, self._keep = True, False
            self._finish()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        self._parser = NO_RESPONSE
        self._lost()
        self._home.forget(self)

    def pause_writing(self) -> None:
        """The replica is slower than the request."""
        self.writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self.writable = True
        if self._listener is not None:
            self._listener.on_writable()

    # What the parser calls.

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self._announced = True
        self._status = status
        given = self._given
        # Most servers write lower case, and then each name is there once.
        self._headers = (
            given.copy()
            if b"".join(given).islower()
            else {name.lower(): value for name, value in reversed(given.items())}
        )
        self._keep = self._parser.should_keep_alive()
        if self._listener is not None and not self._whole:
            self._listener.on_head(status, self._headers)

    def on_body(self, body: bytes) -> None:
        """A piece of the answer."""
        self._bodies.append(body)

    def _hand_on(self) -> None:
        """Give the listener in one piece what came in one, in however many chunks: one write for one read."""
        bodies = self._bodies
        data = bodies[0] if len(bodies) == 1 else b"".join(bodies)
        bodies.clear()
        if self._listener is not None:
            self._listener.on_data(data)

    def on_message_complete(self) -> None:
        """The answer is whole; acted on when everything that came with it was parsed."""
        if self._announced:
            if self._whole:
                self._keep = False  # two answers to one request
            self._whole = True

    def _until_end(self) -> bool:
        return b"content-length" not in self._headers and b"transfer-encoding" not in self._headers

    def _finish(self) -> None:
        listener, self._listener = self._listener, None
        transport = self._transport
        # What a replica left of a request it would take for the next, so all of it must have gone out.
        sent = (
            not self.sending
            and transport is not None
            and self._waits_for != self._outbox.turn
            and not transport.get_write_buffer_size()
        )
        if self._keep and sent and not self._broken and transport is not None and not transport.is_closing():
            if self._paused:
                self.resume()
            self._home.put_back(self)
        else:
            self._broken = True
            if transport is not None and sent:
                transport.close()
            elif transport is not None:
                transport.abort()  # what was not sent yet is not wanted, and might never be taken
        if listener is not None:
            listener.on_complete()

    def _lost(self) -> None:
        listener, self._listener = self._listener, None
        self._broken = True
        if self._transport is not None:
            self._transport.abort()
        if listener is not None:
            listener.on_lost(answered=self._answered)


class _Nobody:
    """Waits for the end of an answer whose content is known already."""

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Nothing to be done."""

    def on_data(self, data: bytes) -> None:
        """Nothing to be done."""

    def on_complete(self) -> None:
        """Nothing to be done."""

    def on_lost(self, *, answered: bool) -> None:
        """Nothing to be done."""

    def on_writable(self) -> None:
        """Nothing to be done."""


_NOBODY: Final = _Nobody()
