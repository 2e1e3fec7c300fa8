"""The HTTP interface: `/v1/audio/transcriptions` and `translations`, `/v1/models`, `/health`, `/metrics`.

Made by `process` for one model. Errors have OpenAI's shape. A request needs the server's key; `/health` does not, and says 503
until the engine is loaded.
"""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from hostler_speech.decode import decode
from hostler_speech.engine import Engine
from hostler_speech.figures import Figures
from hostler_speech.form import Asked, BadField, read_form
from hostler_speech.formats import written
from hostler_speech.transcript import BadAudio, Task, Transcript
from hostler_speech.upload import BadForm, TooLarge, Upload, read_upload, temporary_file
from hostler_speech.workers import Busy, Workers

AUDIO_SECONDS_HEADER = "x-audio-seconds"
"""Length of the audio, with every answer: the formats without a usage in them have no other place for it."""
_FORM_BYTES = 256 * 1024
"""For what is in a form besides the file."""

_logger = logging.getLogger("hostler_speech")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server is set up.

    Attributes:
        served_name: What `/v1/models` calls the model; requests may call it anything.
        key: Which requests must bring; empty where none is asked for.
        workers: Transcriptions at once.
        queue_length_max: Requests that may wait for one to end; the next is told 503.
        audio_bytes_max: Largest file.
        audio_seconds_max: Longest audio.
    """

    served_name: str
    key: str = field(repr=False)
    workers: int = 1
    queue_length_max: int = 16
    audio_bytes_max: int = 25 * 2**20
    audio_seconds_max: float = 3600.0


class SpeechServer:
    """One model behind HTTP."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._workers = Workers(settings.workers, queue_length_max=settings.queue_length_max)
        self._figures = Figures(running=lambda: self._workers.running, waiting=lambda: self._workers.waiting)
        self._engine: Engine | None = None

    def app(self) -> web.Application:
        """The application; to be run with `handler_cancellation`, so that a client that hangs up is noticed."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/metrics", self._metrics)
        for path, task in (("transcriptions", Task.TRANSCRIBE), ("translations", Task.TRANSLATE)):
            app.router.add_post(f"/v1/audio/{path}", partial(self._transcribe, task=task))
        return app

    def ready(self, engine: Engine) -> None:
        """Serve from now on."""
        self._engine = engine

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/health" and self._settings.key:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(errors="replace"), self._settings.key.encode()):
                return _error(401, "The API key is not valid.", code="invalid_api_key")
        began = time.monotonic()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            # aiohttp's own: no such route, or not with this method.
            response = _error(error.status, f"There is no {request.method} {request.path[:200]} here.")
        except (
            Exception
        ):  # the outermost frame of a request: a bug, or an engine that failed, gets OpenAI's shape too
            _logger.exception("the request failed")
            response = _error(500, "The server failed; its log has the details.", code="internal_error")
        if request.path.startswith("/v1/audio/"):
            route = request.path if response.status != 404 else "other"
            self._figures.answered(route, response.status, time.monotonic() - began)
        return response

    async def _health(self, _: web.Request) -> web.Response:
        if self._engine is None:
            return _error(503, "The model is being loaded.", code="loading")
        return web.json_response({"status": "ok"})

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": self._settings.served_name, "object": "model", "created": 0, "owned_by": "hostler"}
        return web.json_response({"object": "list", "data": [model]})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._figures.text(), content_type="text/plain")

    async def _transcribe(self, request: web.Request, *, task: Task) -> web.Response:
        engine = self._engine
        if engine is None:
            return _error(503, "The model is being loaded.", code="loading")
        with temporary_file() as file:
            upload = Upload(file)
            try:
                await read_upload(request, upload, bytes_max=self._settings.audio_bytes_max + _FORM_BYTES)
                asked = self._checked(engine, upload, task)
                transcript = await self._workers.run(partial(self._listen, engine, upload, asked))
            except TooLarge:
                limit = self._settings.audio_bytes_max
                return _error(413, f"The file is larger than {limit} bytes.", code="file_too_large")
            except BadField as error:
                return _error(400, str(error), param=error.param, code="invalid_value")
            except BadForm as error:
                return _error(400, str(error), code="invalid_form")
            except BadAudio as error:
                return _error(400, str(error), param="file", code="invalid_audio")
            except Busy:
                busy = _error(503, "Too many transcriptions wait already.", code="queue_full")
                busy.headers["retry-after"] = "5"
                return busy
        self._figures.transcribed(transcript.duration_seconds)
        content_type, text = written(transcript, asked.form, asked.granularities)
        return web.Response(
            text=text,
            content_type=content_type,
            charset="utf-8",
            headers={AUDIO_SECONDS_HEADER: f"{transcript.duration_seconds:.3f}"},
        )

    def _checked(self, engine: Engine, upload: Upload, task: Task) -> Asked:
        """What is asked for, as far as this engine can do it."""
        asked = read_form(upload.fields, task)
        language = asked.options.language
        if language is not None and language not in engine.languages:
            can = ", ".join(sorted(engine.languages))
            raise BadField(
                "language", f"This model does not know the language {language!r}; it knows: {can}."
            )
        if task is Task.TRANSLATE and not engine.translates:
            raise BadField("model", "This model does not translate; it only transcribes.")
        if upload.size is None:
            raise BadField("file", "There is no file in the field 'file'.")
        if upload.size == 0:
            raise BadAudio("The file is empty.")
        if upload.size > self._settings.audio_bytes_max:
            raise TooLarge
        return asked

    def _listen(
        self, engine: Engine, upload: Upload, asked: Asked, abandoned: Callable[[], bool]
    ) -> Transcript:
        audio = decode(upload.file, seconds_max=self._settings.audio_seconds_max)
        return engine.transcribe(audio, asked.options, abandoned)


async def listening(app: web.Application, *, host: str, port: int) -> web.AppRunner:
    """Serve `app` at an address; the caller keeps what this gives.

    Raises:
        OSError: the address can't be used.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _error(status: int, message: str, *, param: str | None = None, code: str | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return web.json_response(
        {"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status
    )
