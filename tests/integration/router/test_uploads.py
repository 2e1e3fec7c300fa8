"""Forms with a file in them: what reaches the replica, what comes back, and what is refused while it arrives."""

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from hostler_domain.external import ExternalServers
from tests.integration.router.harness import ALICE_KEY, SECRET_KEY, Got, Harness, eventually, running_router
from tests.integration.router.replicas import (
    Behaviour,
    Replica,
    answers_with,
    closed_port_url,
    hangs,
    resets,
    sends_half,
    truncates,
)
from tests.integration.router.test_openai_client import client

PATH = "/v1/audio/transcriptions"
ANSWER = {"text": "Hello there.", "usage": {"type": "duration", "seconds": 4}}
AUDIO = bytes(range(256)) * 20_000
"""Five megabytes: more than is held in memory."""


async def hears(request: web.Request) -> web.StreamResponse:
    """Answers in the form that is asked for."""
    if b'name="response_format"\r\n\r\nsrt' in await request.read():
        subtitles = "1\n00:00:00,000 --> 00:00:01,000\nHello there.\n\n"
        return web.Response(text=subtitles, headers={"x-audio-seconds": "3.05"})
    return web.json_response(ANSWER)


async def post(
    router: Harness,
    content: bytes | None = AUDIO,
    *,
    path: str = PATH,
    file_first: bool = False,
    **fields: str,
) -> Got:
    form = aiohttp.FormData(default_to_multipart=True)
    if file_first and content is not None:
        form.add_field("file", io.BytesIO(content), filename="speech.wav")
    for name, value in {"model": "chat", **fields}.items():
        form.add_field(name, value)
    if not file_first and content is not None:
        form.add_field("file", io.BytesIO(content), filename="speech.wav", content_type="audio/wav")
    async with router.client.post(path, data=form) as response:
        return Got(response, await response.read())


@pytest.fixture
def hearing(first: Replica, second: Replica) -> tuple[Replica, Replica]:
    first.behaviour = second.behaviour = hears
    return first, second


async def read_by(replica: Replica, number: int = -1) -> dict[str, object]:
    """The form that a replica got, as another library reads it."""
    seen = replica.seen[number]
    # What is sent on while it arrives has no length yet.
    if seen.headers.get("transfer-encoding") != "chunked":
        assert seen.headers["content-length"] == str(len(seen.body))
    stream = aiohttp.StreamReader(_NoProtocol(), 2**16, loop=asyncio.get_running_loop())  # type: ignore[arg-type]  # nothing to pause
    stream.feed_data(seen.body)
    stream.feed_eof()
    reader = aiohttp.MultipartReader({"Content-Type": seen.headers["content-type"]}, stream)  # type: ignore[arg-type]  # a plain mapping does
    found: dict[str, object] = {}
    async for part in reader:
        assert isinstance(part, aiohttp.BodyPartReader)
        assert part.name is not None
        content = bytes(await part.read())
        found[part.name] = content if part.filename else content.decode()
    return found


class _NoProtocol:
    _reading_paused = False

    def pause_reading(self, **_: object) -> None:
        """There is nobody to be told."""

    def resume_reading(self, **_: object) -> None:
        """There is nobody to be told."""


@pytest.mark.parametrize("path", [PATH, "/v1/audio/translations"])
@pytest.mark.parametrize("file_first", [False, True], ids=["model first", "file first"])
async def test_a_form_reaches_the_replica_whole_wherever_its_model_stands(
    router: Harness, hearing: tuple[Replica, Replica], path: str, file_first: bool
) -> None:
    await router.add_job(hearing[0].url)
    got = await post(router, path=path, file_first=file_first, prompt="model", language="en")

    assert (got.status, got.json) == (200, ANSWER)
    assert await read_by(hearing[0]) == {"model": "chat", "prompt": "model", "language": "en", "file": AUDIO}
    (seen,) = hearing[0].seen
    assert seen.path == path
    assert seen.headers["authorization"] == f"Bearer {SECRET_KEY.replica_key('job-1-r1')}"
    assert ALICE_KEY not in str(seen)


async def test_the_stock_client_gets_its_transcript(
    router: Harness, hearing: tuple[Replica, Replica]
) -> None:
    await router.add_job(hearing[0].url)
    async with client(router) as made:
        plain = await made.audio.transcriptions.create(model="chat", file=("a.wav", AUDIO))
        subtitles = await made.audio.transcriptions.create(
            model="chat", file=("a.wav", AUDIO), response_format="srt"
        )
    assert plain.text == "Hello there."
    assert str(subtitles).startswith("1\n00:00:00,000 --> ")


async def test_the_audio_is_counted_whatever_the_form_of_the_answer(
    router: Harness, hearing: tuple[Replica, Replica]
) -> None:
    await router.add_job(hearing[0].url)
    await post(router)
    await post(router, response_format="srt")

    (window,) = await router.windows()
    assert (window.completed, window.audio_seconds, window.prompt_tokens) == (2, 8, 0)


async def test_a_server_that_is_adopted_gets_its_own_name_for_the_model(
    router: Harness, hearing: tuple[Replica, Replica]
) -> None:
    external = ExternalServers((hearing[0].url,), served_model="their-own-longer-name")
    await router.add_job(
        hearing[0].url, runtime="external", hardware_profile="external", maximum=1, external=external
    )
    assert (await post(router, file_first=True)).status == 200
    assert await read_by(hearing[0]) == {"file": AUDIO, "model": "their-own-longer-name"}


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(None, id="nobody listens"),
        pytest.param(resets(), id="resets"),
        pytest.param(truncates, id="truncates"),
        pytest.param(sends_half, id="sends half a document"),
        pytest.param(answers_with(503, {"error": "busy"}), id="503"),
    ],
)
async def test_another_replica_gets_the_same_form_when_one_fails(
    router: Harness, hearing: tuple[Replica, Replica], behaviour: Behaviour | None
) -> None:
    bad, good = hearing
    bad.behaviour = behaviour or bad.behaviour
    await router.add_job(closed_port_url() if behaviour is None else bad.url, good.url)
    for _ in range(4):  # whichever of the two is asked first
        got = await post(router)
        assert (got.status, got.json) == (200, ANSWER)
        assert (await read_by(good))["file"] == AUDIO


async def test_a_refusal_of_the_replica_reaches_the_client_as_it_is(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    refusal = {
        "message": "No audio.",
        "type": "invalid_request_error",
        "param": "file",
        "code": "invalid_audio",
    }
    first.behaviour = answers_with(400, {"error": refusal})
    got = await post(router)
    assert (got.status, got.error) == (400, refusal)
    assert len(first.seen) == 1


@pytest.mark.parametrize(
    ("fields", "content", "status", "code"),
    [
        ({"model": "nobody"}, AUDIO, 404, "model_not_found"),
        ({"model": ""}, AUDIO, 400, "invalid_value"),
    ],
    ids=["unknown model", "empty model"],
)
async def test_what_names_no_job_reaches_no_replica(
    router: Harness,
    first: Replica,
    fields: dict[str, str],
    content: bytes,
    status: int,
    code: str,
) -> None:
    await router.add_job(first.url)
    got = await post(router, content, **fields)
    assert (got.status, got.error["code"], got.error["param"]) == (status, code, "model")
    assert first.seen == []


async def test_a_body_that_is_no_form_is_refused(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    json = await router.post(PATH, b'{"model": "chat"}', {"content-type": "application/json"})
    broken = await router.post(PATH, b"--x\r\n", {"content-type": "multipart/form-data; boundary=x"})
    async with router.client.get(PATH) as response:
        got = Got(response, await response.read())
    assert (json.status, json.error["code"]) == (400, "invalid_content_type")
    assert (broken.status, broken.error["code"]) == (400, "invalid_form")
    assert got.status == 405
    assert first.seen == []


@pytest.mark.parametrize(
    ("length", "sent"),
    [
        pytest.param("content-length: 400000", b"", id="announced"),
        # More than is taken, and no end.
        pytest.param(
            "transfer-encoding: chunked",
            b'61a80\r\n--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + b"y" * 350_000,
            id="in chunks",
        ),
    ],
)
async def test_too_large_a_form_is_refused_while_it_arrives(first: Replica, length: str, sent: bytes) -> None:
    async with running_router(upload_bytes_max=300_000) as router:
        await router.add_job(first.url)
        reader, writer = await asyncio.open_connection("127.0.0.1", router.router.port)
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALICE_KEY}\r\n{length}\r\n"
            "content-type: multipart/form-data; boundary=x\r\n\r\n".encode()
        )
        writer.write(sent)
        async with asyncio.timeout(10):
            status = await reader.readline()
        writer.close()
    assert status.startswith(b"HTTP/1.1 413")
    assert first.seen == []


async def test_an_upload_that_dribbles_holds_no_replica_and_ends(first: Replica) -> None:
    async def dribbles() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(30)

    async with running_router(upload_timeout_seconds=0.2) as router:
        await router.add_job(first.url)
        form = aiohttp.FormData({"model": "chat"})
        form.add_field("file", dribbles(), filename="a.wav")
        async with router.client.post(PATH, data=form) as response:
            got = Got(response, await response.read())
    assert (got.status, got.error["code"]) == (408, "request_body_timeout")
    assert first.seen == []


async def test_a_client_that_hangs_up_ends_the_work_on_the_replica(router: Harness, first: Replica) -> None:
    first.behaviour = hangs
    await router.add_job(first.url)
    asking = asyncio.create_task(post(router))
    await eventually(lambda: len(first.seen) == 1)
    asking.cancel()
    await asyncio.wait_for(first.gone.wait(), 10)
    await eventually(lambda: len(router.request_lines()) == 1)
    assert router.request_lines()[0]["outcome"] == "client_gone"
