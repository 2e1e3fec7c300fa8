"""`hostler transcribe` through the stock OpenAI client, against a real server on loopback that speaks as the router does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from hostler_cli.app import app
from hostler_cli.exit_codes import ExitCode
from tests.unit.client.fake_api import served


@dataclass
class FakeRouter:
    requests: list[httpx2.Request] = field(default_factory=list)
    answer_with: httpx2.Response = field(default_factory=lambda: httpx2.Response(200, text="Hello there.\n"))

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answer_with


@pytest.fixture
def router() -> FakeRouter:
    return FakeRouter()


@pytest.fixture
def url(router: FakeRouter) -> Iterator[str]:
    with served(router.answer) as address:
        yield address


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(b"RIFF....")
    return path


def run(url: str, *arguments: str) -> Result:
    environment = {"HOSTLER_ROUTER_URL": url, "HOSTLER_API_KEY": "hsk_x"}
    return CliRunner().invoke(app, ["transcribe", *arguments], env=environment)


def test_a_recording_is_sent_and_its_text_printed(router: FakeRouter, url: str, recording: Path) -> None:
    done = run(url, str(recording))

    assert (done.exit_code, done.stdout) == (0, "Hello there.\n")
    (request,) = router.requests
    assert request.url.path == "/v1/audio/transcriptions"
    assert request.headers["authorization"] == "Bearer hsk_x"
    body = request.content
    assert b'name="model"\r\n\r\nSystran/faster-whisper-tiny.en\r\n' in body
    assert b'name="response_format"\r\n\r\ntext\r\n' in body
    assert b'filename="speech.wav"' in body
    assert b"RIFF...." in body
    assert b"language" not in body


def test_every_option_reaches_the_form(router: FakeRouter, url: str, recording: Path) -> None:
    router.answer_with = httpx2.Response(200, json={"text": "Hallo."})
    options = ("--job", "mine", "--format", "verbose_json", "--words", "--language", "de", "--prompt", "Hi")
    done = run(url, str(recording), *options)

    assert (done.exit_code, done.stdout) == (0, '{"text":"Hallo."}\n')
    body = router.requests[0].content
    for name, value in (("model", "mine"), ("language", "de"), ("prompt", "Hi")):
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in body
    assert body.count(b'name="timestamp_granularities[]"') == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.wav",), "missing.wav can't be read"),
        (("{}", "--words"), "--words goes with --format verbose_json"),
    ],
    ids=["no-file", "words-of-text"],
)
def test_what_makes_no_sense_is_told_before_anything_is_sent(
    router: FakeRouter, url: str, recording: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run(url, *(each.format(recording) for each in arguments))

    assert done.exit_code == ExitCode.USAGE
    assert message in done.stderr
    assert router.requests == []


def test_an_empty_file_is_not_sent(router: FakeRouter, url: str, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    done = run(url, str(tmp_path / "empty.wav"))
    assert (done.exit_code, router.requests) == (ExitCode.USAGE, [])


def test_a_refusal_is_a_sentence_and_an_exit_code(router: FakeRouter, url: str, recording: Path) -> None:
    error = {"message": "The file can't be decoded as audio.", "type": "invalid_request_error", "code": "x"}
    router.answer_with = httpx2.Response(400, json={"error": error})
    done = run(url, str(recording))

    assert done.exit_code == ExitCode.USAGE
    assert "error: The file can't be decoded as audio." in done.stderr
