"""Replicas that behave, and misbehave, as a test asks them to: real servers on real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]

ANSWER = {
    "id": "cmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there."}}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}
USAGE_EVENT = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "tiny",
    "choices": [],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the replica got it."""

    path: str
    headers: dict[str, str]
    body: bytes


class Replica:
    """One server."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.behaviour: Behaviour = answers
        self.gone = asyncio.Event()
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.path, headers, await request.read()))
        try:
            return await self.behaviour(request)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise


@asynccontextmanager
async def replica(behaviour: Behaviour | None = None) -> AsyncIterator[Replica]:
    started = Replica()
    started.behaviour = behaviour or answers
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


def closed_port_url() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def answers(request: web.Request) -> web.StreamResponse:
    """A plain answer, or a stream where one was asked for."""
    if json.loads(await request.read()).get("stream"):
        return await streams(2)(request)
    return web.json_response(ANSWER)


def answers_with(status: int, content: object, **headers: str) -> Behaviour:
    async def behave(_: web.Request) -> web.StreamResponse:
        return web.json_response(content, status=status, headers=headers)

    return behave


def resets(*, after_head: bool = False) -> Behaviour:
    """Breaks the connection off, before or after the head of its answer."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        if after_head:
            await response.prepare(request)
            await response.write(b": thinking\n\n")
        _abort(request)
        return response

    return behave


async def truncates(request: web.Request) -> web.StreamResponse:
    """Announces a whole answer and sends half of it."""
    body = json.dumps(ANSWER).encode()
    response = web.StreamResponse(
        headers={"content-type": "application/json", "content-length": str(len(body))}
    )
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _abort(request)
    return response


async def sends_half(_: web.Request) -> web.StreamResponse:
    """Sends half a document and closes in good order, as a server does that never announced a length."""
    body = json.dumps(ANSWER).encode()
    return web.Response(body=body[: len(body) // 2], content_type="application/json")


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def chunk(text: str) -> bytes:
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({**USAGE_EVENT, "choices": [delta], "usage": None})


def streams(
    chunks: int, *, then: str = "done", gate: asyncio.Event | None = None, usage: bool = True
) -> Behaviour:
    """Streams some chunks and then ends well, ends too early, breaks off within an event, falls silent, or reports an error.

    Args:
        chunks: How many.
        then: `done`, `end`, `reset`, `silence` or `error`.
        gate: Waited for after the chunks.
        usage: Whether the usage comes before the end.
    """

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(chunks):
            await response.write(chunk(f"t{number} "))
        if gate is not None:
            await gate.wait()
        if then == "done":
            await response.write((event(USAGE_EVENT) if usage else b"") + b"data: [DONE]\n\n")
        elif then == "reset":
            await response.write(b'data: {"choices": [{"del')
            await asyncio.sleep(0.01)  # or the reset overtakes the bytes
            _abort(request)
        elif then == "error":
            await response.write(event({"error": {"message": "out of memory", "code": 500}}))
        elif then == "silence":
            await asyncio.Event().wait()
        return response

    return behave


async def hangs(_: web.Request) -> web.StreamResponse:
    """Takes the request and never answers."""
    await asyncio.Event().wait()
    raise AssertionError


def _abort(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
