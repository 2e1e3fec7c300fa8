"""Callers of a router that write down what they heard: the witness of the data path.

One connection a call, bytes parsed by llhttp, and nothing believed that did not arrive: whether a stream was whole, how many words it brought
and when each came. `judge` is pure and knows the only three ways in which a stream may end; anything else is a silent truncation.
"""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from urllib.parse import urlsplit

import httptools

PATIENCE_SECONDS = 90.0
QUESTION = "Hello there"


class End(StrEnum):
    """How an answer ended, as its caller heard it."""

    DONE = "done"
    ERROR = "error"
    ABORTED = "aborted"
    """The connection broke within the answer, which no client takes for an end."""
    REFUSED = "refused"
    """There was a status other than 200, and a whole error."""
    TRUNCATED = "truncated"
    """It ended as if it were whole, and was not."""
    HUNG_UP = "hung up"
    """By the caller itself."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a caller heard.

    Attributes:
        request_id: Its own name for the request, sent as `x-request-id`.
        began: When it was sent, as all times by the monotonic clock.
        ended: When its answer was whole, or broken, or the caller hung up.
        end: How it ended.
        status: Of the answer; None where there was none.
        headers: Of the answer.
        body: Every byte of it.
        words: How many pieces of text came.
        text: All of them together.
        error: The one error, where it ended with one.
        resumed: Whether the router says that another replica went on with it.
        moments: When an event or a whole answer came.
        usage: As the answer says.
    """

    request_id: str
    began: float
    ended: float
    end: End
    status: int | None
    headers: dict[str, str]
    body: bytes
    words: int = 0
    text: str = ""
    error: dict[str, object] = field(default_factory=dict)
    resumed: bool = False
    moments: tuple[float, ...] = ()
    usage: dict[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def longest_silence_seconds(self) -> float:
        """Between two events, or the last of them and the end."""
        moments = (*self.moments, self.ended)
        return max((later - earlier for earlier, later in pairwise(moments)), default=0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the bytes of an answer say."""

    end: End
    words: int = 0
    text: str = ""
    error: dict[str, object] = field(default_factory=dict)
    resumed: bool = False
    usage: dict[str, int] = field(default_factory=dict)


def judge(status: int | None, body: bytes, *, whole: bool, stream: bool) -> Verdict:
    """How an answer ended.

    | what came                                                       | end       |
    | --------------------------------------------------------------- | --------- |
    | no status, or a connection that broke                           | aborted   |
    | another status than 200, with `error` in a whole document       | refused   |
    | a document                                                      | done      |
    | whole events, the last `[DONE]`, and no error among them        | done      |
    | whole events, the last an error, and no other error among them  | error     |
    | anything else                                                   | truncated |
    """
    if status is None or (not whole and not stream):
        return Verdict(End.ABORTED)
    if status != 200:
        error = _error_of(body)
        return Verdict(End.REFUSED if error and whole else End.TRUNCATED, error=error)
    if not stream:
        return _judge_document(body)
    *events, rest = body.split(b"\n\n")
    payloads = [event[len(b"data: ") :] for event in events if event.startswith(b"data: ")]
    strange = [event for event in events if not event.startswith((b"data: ", b":"))]
    pieces, usage = [], {}
    errors = [_error_of(payload) for payload in payloads if _error_of(payload)]
    for payload in payloads:
        chunk = _object(payload)
        usage = _numbers(chunk.get("usage")) or usage
        pieces += _pieces(chunk)
    resumed = any(event.startswith(b": resumed") for event in events)
    last = payloads[-1] if payloads else b""
    if not whole:
        end = End.ABORTED
    elif rest or strange:
        end = End.TRUNCATED
    elif last == b"[DONE]" and not errors and payloads.count(b"[DONE]") == 1:
        end = End.DONE
    elif len(errors) == 1 and _error_of(last):
        end = End.ERROR
    else:
        end = End.TRUNCATED
    error = errors[-1] if end is End.ERROR else {}
    return Verdict(end, len(pieces), "".join(pieces), error, resumed, usage)


def _judge_document(body: bytes) -> Verdict:
    document = _object(body)
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices:
        return Verdict(End.TRUNCATED)
    message = choices[0].get("message") or {}
    text = str(message.get("content") or choices[0].get("text") or "")
    usage = _numbers(document.get("usage"))
    return Verdict(End.DONE, usage.get("completion_tokens", 0), text, usage=usage)


def _pieces(chunk: dict[str, object]) -> list[str]:
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        return []
    found = []
    for choice in choices:
        delta = choice.get("delta")
        piece = delta.get("content") if isinstance(delta, dict) else choice.get("text")
        if piece:
            found.append(str(piece))
    return found


def _error_of(payload: bytes) -> dict[str, object]:
    error = _object(payload).get("error")
    return error if isinstance(error, dict) else {}


def _object(payload: bytes) -> dict[str, object]:
    try:
        decoded = json.loads(payload)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _numbers(found: object) -> dict[str, int]:
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, int)}


class Call(asyncio.Protocol):
    """One request under way.

    Attributes:
        words: Pieces of text so far, counted by the bytes that begin one.
        request_id: Its name.
        heard: Everything, once the connection is gone.
    """

    def __init__(
        self, url: str, key: str, body: bytes, *, stream: bool, headers: dict[str, str], request_id: str
    ) -> None:
        self.words = 0
        self.request_id = request_id
        self._stream = stream
        self._url = urlsplit(url)
        self._request = self._head(key, headers, len(body)) + body
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._status: int | None = None
        self._pieces: list[bytes] = []
        self._moments: list[float] = []
        self._whole = False
        self._began = time.monotonic()
        self._end: End | None = None
        self._result: Heard | None = None
        self._transport: asyncio.Transport | None = None
        self.heard: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()

    def _head(self, key: str, headers: dict[str, str], length: int) -> bytes:
        lines = {
            "Host": self._url.netloc,
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Content-Length": str(length),
            "X-Request-Id": self.request_id,
            **headers,
        }
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {self._url.path} HTTP/1.1\r\n{fields}\r\n".encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._finish()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        count = data.count(b'"content": "') + data.count(b'"content":"') + data.count(b'"text":"')
        self.words += count
        if b"data:" in data or not self._stream:
            self._moments.append(time.monotonic())

    def on_message_complete(self) -> None:
        self._whole = True
        self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        self._finish()
        assert self._result is not None
        if not self.heard.done():  # whoever waited may have given up
            self.heard.set_result(self._result)

    def hang_up(self) -> None:
        """Go without a word."""
        self._end = End.HUNG_UP
        assert self._transport is not None
        self._transport.abort()
        self._finish()

    def _finish(self) -> None:
        if self._result is not None:
            return
        body = b"".join(self._pieces)
        verdict = judge(self._status, body, whole=self._whole, stream=self._stream)
        self._result = Heard(
            self.request_id,
            self._began,
            time.monotonic(),
            self._end or verdict.end,
            self._status,
            self._headers,
            body,
            verdict.words,
            verdict.text,
            verdict.error,
            verdict.resumed,
            tuple(self._moments),
            verdict.usage,
        )
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True, slots=True)
class Callers:
    """Those who call one model at one router."""

    url: str
    key: str = field(repr=False)
    model: str
    route: str = "/v1/chat/completions"

    async def open(
        self, *, stream: bool = True, headers: dict[str, str] | None = None, **fields: object
    ) -> Call:
        """Send a request."""
        body = {
            "model": self.model,
            **(
                {"prompt": QUESTION}
                if self.route == "/v1/completions"
                else {"messages": [{"role": "user", "content": QUESTION}]}
            ),
            "stream": stream,
            **fields,
        }
        return await self.open_raw(json.dumps(body).encode(), stream=stream, headers=headers)

    async def open_raw(self, body: bytes, *, stream: bool, headers: dict[str, str] | None = None) -> Call:
        """Send a request whose body is written already."""
        url = f"{self.url}{self.route}"

        def made() -> Call:
            return Call(
                url,
                self.key,
                body,
                stream=stream,
                headers=headers or {},
                request_id=f"call-{uuid.uuid4().hex}",
            )

        where = urlsplit(self.url)
        _, call = await asyncio.get_running_loop().create_connection(made, where.hostname, where.port)
        return call

    async def ask(
        self, *, stream: bool = True, headers: dict[str, str] | None = None, **fields: object
    ) -> Heard:
        """One request, heard to its end; a connection that was refused is an abort."""
        began = time.monotonic()
        try:
            call = await self.open(stream=stream, headers=headers, **fields)
        except OSError:
            return Heard("", began, time.monotonic(), End.ABORTED, None, {}, b"")
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await call.heard

    async def open_many(self, count: int, **options: object) -> list[Call]:
        """So many streams at once."""
        return await asyncio.gather(*(self.open(**options) for _ in range(count)))  # type: ignore[arg-type]  # passed on

    async def ask_many(self, count: int, **options: object) -> list[Heard]:
        """So many requests at once, each heard to its end."""
        return await asyncio.gather(*(self.ask(**options) for _ in range(count)))  # type: ignore[arg-type]  # passed on


async def all_heard(calls: Iterable[Call]) -> list[Heard]:
    """Every call to its end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return list(await asyncio.gather(*(call.heard for call in calls)))


async def all_begun(calls: Iterable[Call], *, words: int = 1) -> None:
    """Wait until each stream has brought so many words."""
    waiting = list(calls)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while waiting:
            await asyncio.sleep(0.02)
            waiting = [call for call in waiting if call.words < words and not call.heard.done()]


def ends(heard: Iterable[Heard]) -> dict[str, int]:
    """How many ended how."""
    return dict(Counter(str(each.end) for each in heard))
