"""Speech to text on the whole stack: a shipped model is deployed, and a recording comes back as text in every form."""

import json
import re
from collections.abc import Iterator

import httpx2
import openai
import pytest

from hostler_kit.secret_key import read_secret_key
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
    with stack.openai().with_options(timeout=300) as client:
        create = client.audio.transcriptions.create
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
    with stack.openai() as client:
        with pytest.raises(openai.BadRequestError, match="can't be decoded"):
            client.audio.transcriptions.create(model="hearing", file=("a.wav", b"not audio at all"))
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="hearing", messages=[{"role": "user", "content": "Hello"}])
    url = f"http://127.0.0.1:{stack.router_port}/v1/audio/translations"
    headers = {"authorization": f"Bearer {stack.key}"}
    translated = httpx2.post(
        url, headers=headers, data={"model": "hearing"}, files={"file": RECORDING.read_bytes()}, timeout=60
    )
    assert translated.status_code == 400
    assert "does not translate" in translated.json()["error"]["message"]


def test_what_the_replica_wrote_can_be_read_while_it_lives_and_after_it_ended(stack: Stack) -> None:
    with stack.api as api:
        (replica,) = api.jobs.get("hearing").living_replicas
    living = stack.hostler("logs", "hearing", "--tail", "5")
    assert (living.returncode, living.stdout.count("\n")) == (0, 1), living.stderr
    assert living.stdout.startswith(f"hostler: serving {MODEL} on http://127.0.0.1:")

    assert stack.hostler("jobs", "stop", "hearing", "--wait").returncode == 0
    with stack.api as api:
        ended = api.jobs.replica_log("hearing", replica.replica_id)
    followed = stack.hostler("logs", "hearing", "--replica", replica.replica_id, "-f")

    assert ended.ended
    assert ended.text == followed.stdout == living.stdout + "hostler: ending on a signal\n"
    assert stack.http("GET", "/v1/jobs/hearing/replicas/nobody/logs").status_code == 404


def test_no_key_is_in_what_was_written(stack: Stack) -> None:
    with stack.api as api:
        (replica,) = api.jobs.get("hearing").status.replicas
    keys = (stack.key, read_secret_key(stack.data_dir / "secret.key").replica_key(replica.replica_id))
    written = [
        path.read_text(errors="replace")
        for folder in ("replica-logs", "replicas", "logs")
        for path in (stack.data_dir / folder).rglob("*")
        if path.is_file()
    ]
    assert any("hostler: serving" in text for text in written)
    assert not [key for key in keys if any(key in text for text in written)]
