"""A stand-in for vLLM that costs as little as a server in Python can: `python -m bench.router.upstream PORT`.

One answer and one stream, written out in advance; what a request asks for is read from a few words of its body. Whatever is measured in front of it, it
is the same server, so that differences are those of what is in front.

| in the body                       | answer                                                     |
| --------------------------------- | ---------------------------------------------------------- |
| nothing of the below              | a chat completion of 1 KB                                  |
| `"stream":true`                   | events without a pause, 8 to a packet                      |
| and `"user":"pace-20"`            | events every 20 ms                                         |
| and `"max_tokens":64`             | 64 of them; 64 as well where it does not say               |
"""

import asyncio
import re
import sys

import uvloop

_BURST = 8
_WORDS = "lorem ipsum dolor sit amet " * 40
_ANSWER = (
    b'{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"served","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"%s"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":200,"total_tokens":400,"completion_tokens":200}}'
)
ANSWER = _ANSWER % _WORDS.encode()[: 1024 - len(_ANSWER) + 2]
PLAIN = (
    b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    % (
        len(ANSWER),
        ANSWER,
    )
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


EVENT = _chunk(
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"served",'
    b'"choices":[{"index":0,"delta":{"content":" lorem"},"logprobs":null,"finish_reason":null}]}\n\n'
)
USAGE = _chunk(
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"served","choices":[],'
    b'"usage":{"prompt_tokens":200,"total_tokens":264,"completion_tokens":64}}\n\n'
)
DONE = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
HEALTH = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PACE = re.compile(rb'"pace-(\d+)"')
_TOKENS = re.compile(rb'"max_tokens": *(\d+)')


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is one
        """Take it."""
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        """Send no more."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole; one at a time, as kept connections have them."""
        self._parts.append(data)
        self._have += len(data)
        if not self._need:
            head = data if len(self._parts) == 1 else b"".join(self._parts)
            end = head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(head, 0, end)
            self._need = end + 4 + (int(length[1]) if length else 0)
        if self._have < self._need:
            return
        # The words that matter are at either end of the body, whoever put them there.
        first, last = self._parts[0], self._parts[-1]
        hints = first[:1600] + last[-400:] if len(self._parts) > 1 or len(first) > 2000 else first
        self._parts, self._have, self._need = [], 0, 0
        self._answer(hints)

    def _answer(self, hints: bytes) -> None:
        assert self._transport is not None
        if b'"stream":true' not in hints:
            self._transport.write(HEALTH if hints.startswith(b"GET") else PLAIN)
            return
        pace, tokens = _PACE.search(hints), _TOKENS.search(hints)
        self._transport.write(STREAM_HEAD)
        ending = USAGE + DONE if b'"include_usage":true' in hints.replace(b" ", b"") else DONE
        self._next(int(tokens[1]) if tokens else 64, int(pace[1]) / 1000 if pace else 0.0, ending)

    def _next(self, left: int, pace_seconds: float, ending: bytes) -> None:
        if self._transport is None:
            return
        if left and pace_seconds:
            self._transport.write(EVENT)
            self._loop.call_later(pace_seconds, self._next, left - 1, pace_seconds, ending)
            return
        now = min(left, _BURST)
        for _ in range(now):
            self._transport.write(EVENT)
        if left > now:
            self._loop.call_soon(self._next, left - now, 0.0, ending)
        else:
            self._transport.write(ending)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=16384)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
