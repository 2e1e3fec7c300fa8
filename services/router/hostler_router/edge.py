"""The client's side of HTTP: reading a request from ASGI, and replying so that an answer is whole or visibly broken.

Raw ASGI, because every request and every piece of a stream passes here. Nothing outside this module sees an ASGI message.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from starlette.types import Receive, Scope, Send

from hostler_domain.redaction import redact
from hostler_kit.ids import new_id
from hostler_router.openai_errors import ErrorReply, Refused, body_too_large, body_too_slow, encoded_body
from hostler_router.sse import event_of

JSON: Final = b"application/json"
_EVENTS: Final = b"text/event-stream; charset=utf-8"
_HARMLESS_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_CLOSE: Final = (b"connection", b"close")

Headers = Iterable[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client hung up before its request had come in full."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request.

    Attributes:
        method: In capitals.
        path: Decoded.
        headers: Names in lower case; of several with one name the first.
    """

    method: str
    path: str
    headers: Mapping[bytes, bytes]


def read_head(scope: Scope) -> Request:
    """The head that ASGI delivers."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, value)
    return Request(scope["method"], scope["path"], headers)


def request_id_of(request: Request) -> str:
    """The client's own id of its request if it is short and harmless, else a new one."""
    given = request.headers.get(b"x-request-id", b"")
    text = given.decode("latin-1")
    return text if _HARMLESS_ID.fullmatch(given) and redact(text) == text else new_id()


async def read_body(
    request: Request, receive: Receive, *, body_bytes_max: int, body_timeout_seconds: float
) -> bytes:
    """The whole body.

    Raises:
        Refused: it is too large, too slow, or compressed.
        ClientGone: it will never be whole.
    """
    pieces: list[bytes] = []
    await receive_body(
        request,
        receive,
        pieces.append,
        body_bytes_max=body_bytes_max,
        body_timeout_seconds=body_timeout_seconds,
    )
    return b"".join(pieces)


async def receive_body(
    request: Request,
    receive: Receive,
    take: Callable[[bytes], None],
    *,
    body_bytes_max: int,
    body_timeout_seconds: float,
) -> None:
    """Hand the body to `take` piece by piece, as it comes.

    Raises:
        Refused: it is too large, too slow, or compressed.
        ClientGone: it will never be whole.
    """
    encoding = request.headers.get(b"content-encoding", b"identity").decode("latin-1")
    if encoding.lower() != "identity":
        raise Refused(encoded_body(encoding))
    too_large = body_too_large(body_bytes_max)
    if b"expect" in request.headers:
        # Refused before the go-ahead: whether the body comes all the same can't be known, so the connection ends.
        too_large = replace(too_large, headers=(_CLOSE,))
    if int(request.headers.get(b"content-length", b"0")) > body_bytes_max:
        raise Refused(too_large)
    size = 0
    try:
        async with asyncio.timeout(body_timeout_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                piece: bytes = message.get("body", b"")
                size += len(piece)
                if size > body_bytes_max:
                    raise Refused(too_large)
                take(piece)
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        raise Refused(replace(body_too_slow(body_timeout_seconds), headers=(_CLOSE,))) from None


async def wait_gone(receive: Receive) -> None:
    """Return when the client hangs up; to be called once the body is read."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Reply:
    """The answer to one request.

    Either `whole`, or `open` and then `write` as often as needed and `end`; `fail` at any time.

    Attributes:
        request_id: Sent with it.
        status: What was sent; 0 before that.
        ended: Everything was sent.
    """

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self._events = False
        self.status = 0
        self.ended = False

    @property
    def started(self) -> bool:
        """Whether the status has been sent, after which it can't be another."""
        return self.status != 0

    async def whole(
        self, status: int, content: bytes, *, content_type: bytes = JSON, headers: Headers = ()
    ) -> None:
        """Send everything at once."""
        length = (b"content-length", str(len(content)).encode())
        await self._start(status, content_type, (length, *headers))
        await self._finish(content)

    async def open_events(self) -> None:
        """Begin a stream of events."""
        self._events = True
        # The second header keeps nginx from holding events back.
        await self._start(200, _EVENTS, ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")))

    async def open(self, status: int, content_type: bytes) -> None:
        """Begin an answer that comes in pieces."""
        await self._start(status, content_type, ())

    async def write(self, data: bytes) -> None:
        """Send a piece; of a stream, whole events."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """It is complete."""
        await self._finish(b"")

    async def fail(self, error: ErrorReply) -> None:
        """End with an error: as the whole answer, as the last event of a stream, or else by breaking the connection off.

        The last is what happens to an answer that is left without its end; a client must not take a part for the whole.
        """
        if self.ended:
            return
        if not self.started:
            await self.whole(error.status, error.body(), headers=error.all_headers())
        elif self._events:
            await self._finish(event_of(error.body()))

    async def _start(self, status: int, content_type: bytes, headers: Headers) -> None:
        self.status = status
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type),
                    (b"x-request-id", self.request_id.encode()),
                    *headers,
                ],
            }
        )

    async def _finish(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})
        self.ended = True
