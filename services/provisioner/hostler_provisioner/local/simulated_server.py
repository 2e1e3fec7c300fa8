"""The process of one `simulated` replica: OpenAI's HTTP interface without a model behind it.

It is for tests and benches of everything around a model: start-up time, pace, failures and hangs are set by arguments, and
what it says is made up and says so. A job gets it only by asking for the runtime `simulated` by name. The local backend starts
it as `python -I simulated_server.py LAUNCH.json`, with the replica's key in the environment, like the real ones. It imports
only the standard library and packages, because an isolated interpreter knows nothing else.
"""

import asyncio
import errno
import hmac
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TypedDict

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

KEY_VARIABLE = "HOSTLER_REPLICA_API_KEY"
EXIT_CANNOT_SERVE = 3
EXIT_CRASHED = 70
FINGERPRINT = "simulated"

_WORDS = ("This ", "text ", "is ", "simulated ", "and ", "says ", "nothing. ")
_WORD = re.compile(r"\S+")
_SAID_CHARS_MAX = 64 * 1024
_BODY_BYTES_MAX = 64 * 1024 * 1024


class LaunchFile(TypedDict):
    """What the backend tells this process; `SimulatedParameters` says what each parameter means."""

    served_name: str
    host: str
    port: int
    start_delay_seconds: float
    fail_start: int
    first_token_seconds: float
    tokens_per_second: float
    jitter: float
    seed: int
    fail_rate: float
    crash_after_requests: int
    hang_after_requests: int
    n_parallel: int
    completion_tokens: int


class BadRequest(Exception):
    """The request makes no sense; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Attributes:
        chat: Whether as a chat.
        stream: Whether as events.
        include_usage: Whether the events end with the usage.
        prompt_tokens: Words of the prompt.
        tokens_max: Longest answer; None where the request does not say.
        said: Words of the answer that were said before; the rest is asked for.
    """

    chat: bool
    stream: bool
    include_usage: bool
    prompt_tokens: int
    tokens_max: int | None
    said: int = 0


def read_request(body: bytes, *, chat: bool) -> Asked:
    """What is asked for.

    Raises:
        BadRequest: it is not what OpenAI's interface takes.
    """
    try:
        request = json.loads(body)
    except ValueError:
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(request, dict):
        raise BadRequest("the body must be a JSON object")
    options, prompt = request.get("stream_options") or {}, "" if chat else request.get("prompt")
    if not isinstance(prompt, str):
        raise BadRequest("prompt must be a text")
    messages, goes_on = request.get("messages"), chat and request.get("continue_final_message") is True
    said = "" if chat else said_in(prompt)
    tokens_max = request.get("max_completion_tokens", request.get("max_tokens"))
    if tokens_max is not None and (not isinstance(tokens_max, int) or tokens_max < 1):
        raise BadRequest("max_tokens must be a whole number from 1")
    return Asked(
        chat=chat,
        stream=request.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        prompt_tokens=_words_of_chat(messages)
        if chat
        else count_tokens(prompt.removesuffix(said)) + count_tokens(said),
        tokens_max=tokens_max,
        said=_words_of_chat(messages[-1:]) if goes_on and isinstance(messages, list) else count_tokens(said),
    )


def _words_of_chat(messages: object) -> int:
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list that is not empty")
    count = 0
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        parts = content if isinstance(content, list) else [{"text": content}]
        texts = [part.get("text") for part in parts if isinstance(part, dict)]
        count += sum(count_tokens(text) for text in texts if isinstance(text, str))
    return count


def count_tokens(text: str) -> int:
    """Tokens of a text; a token is a word here."""
    return len(_WORD.findall(text))


def said_in(prompt: str) -> str:
    """What a prompt ends with that is the beginning of an answer: its completion was begun, and this is asked for the rest."""
    found = text = ""
    for word in cycle(_WORDS):
        text += word
        if len(text.rstrip()) > len(prompt) or len(text) > _SAID_CHARS_MAX:
            return found
        if prompt.endswith(text.rstrip()):
            found = text.rstrip()
    return found


def answer_words(tokens: int, said: int = 0) -> list[str]:
    """That many words after those that were said, the last of them without a space after it."""
    words = list(islice(cycle(_WORDS), said, said + tokens))
    return [*words[:-1], *(word.rstrip() for word in words[-1:])]


class Figures:
    """What /metrics shows, under the names that vLLM uses."""

    def __init__(self, model: str) -> None:
        self._registry = CollectorRegistry()

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ("model_name",), registry=self._registry).labels(model)

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, ("model_name",), registry=self._registry).labels(model)

        self.running = gauge("vllm:num_requests_running", "Requests that are answered now.")
        self.waiting = gauge("vllm:num_requests_waiting", "Requests that wait for a slot.")
        self.succeeded = counter("vllm:request_success", "Requests that were answered.")
        self.prompt_tokens = counter("vllm:prompt_tokens", "Tokens of the prompts.")
        self.answer_tokens = counter("vllm:generation_tokens", "Tokens of the answers.")

    def text(self) -> bytes:
        """All of it, in Prometheus' form."""
        return generate_latest(self._registry)


class SimulatedServer:
    """Answers requests at a set pace, and fails as it was told to."""

    def __init__(self, launch: LaunchFile, key: str) -> None:
        self._launch = launch
        self._key = key
        self._figures = Figures(launch["served_name"])
        self._slots = asyncio.Semaphore(launch["n_parallel"])
        # Three sources, so that one setting does not move what the others do.
        self._pace = random.Random(f"{launch['seed']}/pace")  # noqa: S311  # nothing secret depends on it
        self._fate = random.Random(f"{launch['seed']}/fate")  # noqa: S311  # likewise
        self._started = False
        self._hangs = False
        self._requests = 0

    def app(self) -> web.Application:
        """The HTTP interface."""
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY_BYTES_MAX)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/chat/completions", partial(self._infer, chat=True))
        app.router.add_post("/v1/completions", partial(self._infer, chat=False))
        return app

    async def start(self) -> int:
        """Take as long as loading weights is to take; gives the exit code of a start that is to fail, else 0."""
        await asyncio.sleep(self._launch["start_delay_seconds"])
        self._started = not self._launch["fail_start"]
        return self._launch["fail_start"]

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        await self._unless_hung()
        if request.path != "/health":
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                return _error(401, "Invalid API key", "authentication_error")
        try:
            return await handler(request)
        except BadRequest as error:
            return _error(400, str(error), "invalid_request_error")

    async def _unless_hung(self) -> None:
        """Return, unless this server is to answer nothing any more."""
        if self._hangs:
            await asyncio.Event().wait()

    async def _health(self, _: web.Request) -> web.Response:
        if not self._started:
            return _error(503, "Loading model", "unavailable_error")
        return web.json_response({"status": "ok"})

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": self._launch["served_name"], "object": "model", "created": 0, "owned_by": FINGERPRINT}
        return web.json_response({"object": "list", "data": [model]})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._figures.text(), content_type="text/plain")

    async def _infer(self, request: web.Request, *, chat: bool) -> web.StreamResponse:
        if not self._started:
            return _error(503, "Loading model", "unavailable_error")
        asked = read_request(await request.read(), chat=chat)
        await self._meet_fate()
        if self._fate.random() < self._launch["fail_rate"]:
            return _error(500, "simulated failure", "server_error")
        async with self._slot():
            natural = max(self._launch["completion_tokens"] - asked.said, 0)
            tokens = min(asked.tokens_max or natural, natural)
            answer = Answer(self._launch["served_name"], asked, tokens, cut=tokens < natural)
            self._figures.prompt_tokens.inc(asked.prompt_tokens)
            response = await (self._stream(request, answer) if asked.stream else self._whole(answer))
            self._figures.succeeded.inc()
            return response

    async def _meet_fate(self) -> None:
        """Count a request, and crash or hang when it is the one at which to."""
        self._requests += 1
        crash_after, hang_after = self._launch["crash_after_requests"], self._launch["hang_after_requests"]
        if crash_after and self._requests > crash_after:
            _say(f"simulated crash after {crash_after} requests")
            os._exit(EXIT_CRASHED)
        if hang_after and self._requests > hang_after and not self._hangs:
            _say(f"simulated hang after {hang_after} requests")
            self._hangs = True
        await self._unless_hung()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """One of the places where requests are answered, after waiting for it in line."""
        with self._figures.waiting.track_inprogress():
            await self._slots.acquire()
        try:
            with self._figures.running.track_inprogress():
                yield
        finally:
            self._slots.release()

    async def _words(self, answer: "Answer") -> AsyncIterator[str]:
        """The words of an answer, each when it is due."""
        due = time.monotonic() + self._varied(self._launch["first_token_seconds"])
        for word in answer_words(answer.tokens, answer.asked.said):
            await asyncio.sleep(max(due - time.monotonic(), 0))
            await self._unless_hung()
            self._figures.answer_tokens.inc()
            yield word
            due += self._varied(1 / self._launch["tokens_per_second"])

    def _varied(self, seconds: float) -> float:
        jitter = self._launch["jitter"]
        return seconds * (1 + self._pace.uniform(-jitter, jitter))

    async def _whole(self, answer: "Answer") -> web.Response:
        text = "".join([word async for word in self._words(answer)])
        return web.json_response(answer.whole(text))

    async def _stream(self, request: web.Request, answer: "Answer") -> web.StreamResponse:
        headers = {"content-type": "text/event-stream", "cache-control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        first = True
        async for word in self._words(answer):
            await response.write(_event(answer.chunk(word, first=first)))
            first = False
        await response.write(_event(answer.last_chunk()))
        if answer.asked.include_usage:
            await response.write(_event(answer.usage_chunk()))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


class Answer:
    """One answer in OpenAI's forms.

    Attributes:
        asked: What it answers.
        tokens: How long it is.
    """

    def __init__(self, model: str, asked: Asked, tokens: int, *, cut: bool) -> None:
        self.asked = asked
        self.tokens = tokens
        self._reason = "length" if cut else "stop"
        self._usage = {
            "prompt_tokens": asked.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": asked.prompt_tokens + tokens,
        }
        self._head = {
            "id": f"simulated-{os.urandom(8).hex()}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }

    def whole(self, text: str) -> dict[str, object]:
        """All at once."""
        message = {"message": {"role": "assistant", "content": text}}
        choice = self._choice(message if self.asked.chat else {"text": text}, self._reason)
        kind = "chat.completion" if self.asked.chat else "text_completion"
        return {**self._with(kind, [choice]), "usage": self._usage}

    def chunk(self, word: str, *, first: bool) -> dict[str, object]:
        """One word."""
        delta = {"role": "assistant", "content": word} if first else {"content": word}
        return self._event([self._choice({"delta": delta} if self.asked.chat else {"text": word}, None)])

    def last_chunk(self) -> dict[str, object]:
        """Why it ended."""
        return self._event([self._choice({"delta": {}} if self.asked.chat else {"text": ""}, self._reason)])

    def usage_chunk(self) -> dict[str, object]:
        """What it took."""
        return {**self._event([]), "usage": self._usage}

    def _event(self, choices: list[dict[str, object]]) -> dict[str, object]:
        return self._with("chat.completion.chunk" if self.asked.chat else "text_completion", choices)

    def _with(self, kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
        return {**self._head, "object": kind, "choices": choices}

    def _choice(self, body: Mapping[str, object], reason: str | None) -> dict[str, object]:
        return {"index": 0, **body, "logprobs": None, "finish_reason": reason}


async def serve(launch: LaunchFile, key: str) -> int:
    """Serve until SIGTERM; otherwise give back an exit code after one line that says what is wrong."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # At once, like the real one: whoever sends this has let the requests finish.
        asyncio.get_running_loop().add_signal_handler(number, os._exit, 0)
    server = SimulatedServer(launch, key)
    runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, launch["host"], launch["port"]).start()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        return _refuse(f"port {launch['port']} is taken" if taken else str(error))
    failed = await server.start()
    if failed:
        _say(f"simulated failure of the start with exit code {failed}")
        return failed
    _say(f"serving {launch['served_name']} (simulated) on http://{launch['host']}:{launch['port']}")
    await asyncio.Event().wait()
    return 0


def main(launch_path: str) -> int:
    """Read the launch file and serve."""
    launch: LaunchFile = json.loads(Path(launch_path).read_text(encoding="utf-8"))
    key = os.environ.pop(KEY_VARIABLE, "")
    if not key:
        return _refuse(f"{KEY_VARIABLE} is not set")
    return asyncio.run(serve(launch, key))


def _event(payload: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


def _error(status: int, message: str, kind: str) -> web.Response:
    body = {"error": {"message": message, "type": kind, "code": status}}
    return web.json_response(body, status=status)


def _refuse(message: str) -> int:
    _say(message)
    return EXIT_CANNOT_SERVE


def _say(message: str) -> None:
    """Write a line to the replica's log."""
    sys.stdout.write(f"hostler: {message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os._exit(main(sys.argv[1]))
