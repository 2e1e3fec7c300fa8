"""Speech to text on the whole stack: a shipped model is deployed, and a recording comes back as text in every form."""

import json
import re
from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.e2e.conftest import Stack
from tests.support.speech import MODEL, RECORDING, require_speech, words_heard

require_speech()

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TIMES = r"\d\d:\d\d:\d\d[.,]\d{3} --> \d\d:\d\d:\d\d[.,]\d{3}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up("--scale", "router=2")
    done = stack.hostler("deploy", MODEL, "--name", "hearing", "--wait", timeout_seconds=300)
    assert done.returncode == 0, done.stderr
    yield stack
    stack.down()


def test_the_stock_client_gets_a_recording_in_every_form(stack: Stack) -> None:
    create = stack.openai().with_options(timeout=300).audio.transcriptions.create
    plain = create(model="hearing", file=RECORDING)
    text = create(model=MODEL, file=RECORDING, response_format="text")
    srt = create(model="hearing", file=RECORDING, response_format="srt")
    vtt = create(model="hearing", file=RECORDING, response_format="vtt")
    verbose = create(
        model="hearing",
        file=RECORDING,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    for heard in (plain.text, str(text), str(srt), str(vtt), verbose.text):
        assert words_heard(heard) >= 5, heard
    assert re.match(rf"1\n{TIMES}\n", str(srt))
    assert re.match(rf"WEBVTT\n\n{TIMES}\n", str(vtt))
    assert verbose.segments
    assert verbose.words
    assert plain.usage is not None
    assert plain.usage.type == "duration"


def test_the_command_prints_the_text_and_other_forms(stack: Stack) -> None:
    text = stack.hostler("transcribe", str(RECORDING), timeout_seconds=300)
    verbose = stack.hostler(
        "transcribe", str(RECORDING), "--job", "hearing", "--format", "verbose_json", timeout_seconds=300
    )

    assert text.returncode == 0, text.stderr
    assert words_heard(text.stdout) >= 5
    assert json.loads(verbose.stdout)["segments"][0]["end"] > 0


def test_what_is_no_audio_and_what_is_no_transcription_are_refused_as_the_client_expects(
    stack: Stack,
) -> None:
    client = stack.openai()
    with pytest.raises(openai.BadRequestError, match="can't be decoded"):
        client.audio.transcriptions.create(model="hearing", file=("a.wav", b"not audio at all"))
    url = f"http://127.0.0.1:{stack.router_port}/v1/audio/translations"
    headers = {"authorization": f"Bearer {stack.key}"}
    translated = httpx2.post(
        url, headers=headers, data={"model": "hearing"}, files={"file": RECORDING.read_bytes()}, timeout=60
    )
    assert translated.status_code == 400
    assert "does not translate" in translated.json()["error"]["message"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="hearing", messages=[{"role": "user", "content": "Hello"}])
