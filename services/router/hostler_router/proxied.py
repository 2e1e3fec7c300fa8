"""Routes of the OpenAI API that other services own: files and batches, passed on to them as they come.

Made by the application. The owner looks at the caller's key itself, so it travels along; nothing is read here but heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hostler_router.ending import fail_reply
from hostler_router.exchange import Exchange, Outcome
from hostler_router.openai_errors import (
    BROKEN_OFF,
    OWNER_AWAY,
    ROUTER_STOPPING,
    TIMED_OUT,
    ErrorReply,
    Refused,
    wrong_method,
)
from hostler_router.parts import RouterParts
from hostler_router.wire.heads import Head
from hostler_router.wire.replica_connection import ReplicaConnection
from hostler_router.wire.reply import Reply

_PASSED_ON: Final = (
    b"authorization",
    b"x-api-key",
    b"content-type",
    b"accept",
    b"idempotency-key",
    b"if-match",
    b"if-none-match",
    b"traceparent",
    b"tracestate",
)
_PASSED_BACK: Final = (
    b"content-type",
    b"content-length",
    b"content-disposition",
    b"location",
    b"retry-after",
    b"etag",
    b"x-should-retry",
)
_METHODS: Final = ("GET", "POST", "DELETE")
_AHEAD_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Owned:
    """A route and its owner.

    Attributes:
        route: As a label.
        url: Of the service; None where it is not installed.
    """

    route: str
    url: str | None


class Owners:
    """Who owns what."""

    def __init__(self, urls: Mapping[str, str | None]) -> None:
        """Take the owners.

        Args:
            urls: Base addresses by the route's first path, such as `/v1/files`; None where its service is not installed.
        """
        self._owned = {route: Owned(route, url) for route, url in urls.items()}

    def of(self, path: str) -> Owned | None:
        """Who answers `path`; None for nobody."""
        first = "/".join(path.split("/", 3)[:3])
        return self._owned.get(first)


class ProxiedRequest:
    """A request that is passed on."""

    def __init__(
        self,
        parts: RouterParts,
        head: Head,
        reply: Reply,
        exchange: Exchange,
        url: str,
        *,
        target: bytes,
    ) -> None:
        """Take a request by its head; `target` is what its owner is asked for.

        Raises:
            Refused: it can't be passed on.
        """
        if head.method not in _METHODS:
            raise Refused(wrong_method(head.method, exchange.route, ", ".join(_METHODS)))
        if parts.running.closed:
            raise Refused(ROUTER_STOPPING)
        self._parts = parts
        self._head = head
        self._reply = reply
        self._exchange = exchange
        self._connection: ReplicaConnection | None = None
        self._ahead: list[bytes] = []
        self._ahead_size = 0
        self._chunked = head.length is None and b"transfer-encoding" in head.headers
        self._body_done = False
        self._over = False
        self._deadline = exchange.started + parts.settings.owner_timeout_seconds
        parts.running.enter(self)
        parts.wheel.arm(self, self._deadline)
        self._url = url
        self._target = target
        self._call_off = parts.pool.connect(url, self._connected)

    # The client.

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._over:
            return
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        if self._connection is None:
            self._ahead.append(framed)
            self._ahead_size += len(framed)
            if self._ahead_size > _AHEAD_BYTES_MAX:
                self._reply.pause_reading()
            return
        self._connection.write(framed)
        if not self._connection.writable:
            self._reply.pause_reading()

    def on_end(self) -> None:
        """All of the body has come."""
        self._body_done = True
        if self._connection is not None:
            self._connection.sending = False
        if self._chunked and not self._over:
            if self._connection is None:
                self._ahead.append(b"0\r\n\r\n")
            else:
                self._connection.write(b"0\r\n\r\n")

    def on_gone(self) -> None:
        """The client hung up."""
        if not self._over:
            self._exchange.outcome = Outcome.CLIENT_GONE
            self._parts.metrics.client_gone()
            self._end(self._reply.status)

    def on_drained(self) -> None:
        """It can take more."""
        if self._connection is not None:
            self._connection.resume()

    # The owner.

    def _connected(self, made: ReplicaConnection | None) -> None:
        if self._over:
            if made is not None:
                made.close()
            return
        if made is None:
            self._fail(OWNER_AWAY)
            return
        self._connection = made
        self._exchange.tries = 1
        address = self._parts.pool.address(self._url)
        head = self._head
        lines = [
            head.method.encode("latin-1"),
            b" ",
            address.base,
            self._target,
            b" HTTP/1.1\r\n",
            address.host_line,
            b"accept-encoding: identity\r\nx-request-id: ",
            self._exchange.request_id.encode(),
            b"\r\n",
        ]
        for name in _PASSED_ON:
            value = head.headers.get(name)
            if value is not None:
                lines += (name, b": ", value, b"\r\n")
        if self._chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        elif head.length is not None:
            lines.append(b"content-length: %d\r\n" % head.length)
        lines.append(b"\r\n")
        made.open(self)
        made.sending = not self._body_done
        made.write(b"".join((*lines, *self._ahead)))
        self._ahead = []
        if made.writable:
            self._reply.resume_reading()

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The head of the answer."""
        if not self._over and not self._reply.started:
            self._reply.open(status, tuple((name, headers[name]) for name in _PASSED_BACK if name in headers))

    def on_data(self, data: bytes) -> None:
        """A piece of the answer."""
        if self._over:
            return
        self._reply.write(data)
        if not self._reply.writable and self._connection is not None:
            self._connection.pause()

    def on_complete(self) -> None:
        """All of it has come."""
        self._connection = None
        if not self._over:
            status = self._reply.status
            self._end(status)
            self._reply.end()

    def on_lost(self, *, answered: bool) -> None:
        """The connection broke."""
        self._connection = None
        if not self._over:
            self._fail(BROKEN_OFF if answered and self._reply.started else OWNER_AWAY)

    def on_writable(self) -> None:
        """The owner can take more of the body."""
        self._reply.resume_reading()

    # The end.

    def due_again(self, now: float) -> float | None:
        """It has taken too long."""
        if not self._over and now >= self._deadline:
            self._fail(TIMED_OUT)
        return None if self._over else self._deadline

    def cut(self) -> None:
        """The router can't wait any longer."""
        if not self._over:
            self._exchange.outcome = Outcome.CUT
            self._fail(ROUTER_STOPPING)

    def _fail(self, error: ErrorReply) -> None:
        if self._exchange.outcome is Outcome.ANSWERED:
            self._exchange.outcome = Outcome.BROKEN if self._reply.started else Outcome.FAILED
        self._end(self._reply.status or error.status)
        if not self._body_done:
            self._reply.closes = True
        fail_reply(self._reply, error)

    def _end(self, status: int) -> None:
        self._over = True
        parts = self._parts
        parts.wheel.disarm(self)
        self._call_off()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._reply.resume_reading()
        self._exchange.replica_seconds = 0.0
        parts.ended(self._exchange, status, parts.clock.monotonic() - self._exchange.started)
        parts.running.leave(self)
