"""The engine `onnx-asr` with a transducer of Parakeet's form that is small enough to make here: the library's own features, decoding and
times, our words, and the server in a process of its own as a machine runs it."""

import asyncio
import io
import json
import os
import sys

import aiohttp
import pytest

from tests.support.speech import require_speech

require_speech()
pytest.importorskip(
    "onnx", reason="onnx, which the small model is made with, comes with the development environment"
)

from hostler_speech.decode import decode  # noqa: E402  # only where it is installed
from hostler_speech.engine import ENGINES, ONNX_ASR, EngineSettings  # noqa: E402  # likewise
from hostler_speech.transcript import Abandoned, Options  # noqa: E402  # likewise
from tests.support.servers import free_port  # noqa: E402  # likewise
from tests.support.tiny_transducer import beeps, write_model  # noqa: E402  # likewise

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    write_model(path)
    return path


def engine(folder, **fields):
    return ENGINES[ONNX_ASR](
        EngineSettings(folder, 1, 1, 1, "float32", **{"model": "nemo-conformer-tdt", **fields})
    )


def heard(folder, audio, options=None):
    return engine(folder).transcribe(
        decode(io.BytesIO(audio), seconds_max=600), options or Options(words=True), lambda: False
    )


def test_what_is_heard_is_where_it_is_in_the_audio(folder):
    transcript = heard(folder, beeps(6.0, (1.0, 1.8), (4.0, 4.5)))
    spoken = [word for segment in transcript.segments for word in segment.words]

    assert [word.word.replace("beep", "") for word in spoken] == [".", "."]
    assert [len(segment.words) for segment in transcript.segments] == [1, 1]
    assert [word.start for word in spoken] == pytest.approx([1.0, 4.0], abs=0.15)
    assert [word.end for word in spoken] == pytest.approx([1.8, 4.5], abs=0.2)
    assert transcript.duration_seconds == pytest.approx(6.0, abs=0.01)
    assert transcript.language == "en"


def test_a_long_recording_is_heard_in_pieces_with_times_of_the_whole(folder):
    transcript = heard(folder, beeps(70.0, (5.0, 5.5), (40.0, 40.5), (65.0, 65.5)))

    assert [segment.start for segment in transcript.segments] == pytest.approx([5.0, 40.0, 65.0], abs=0.15)


def test_nobody_waiting_ends_it(folder):
    audio = decode(io.BytesIO(beeps(5.0, (1.0, 2.0))), seconds_max=600)

    with pytest.raises(Abandoned):
        engine(folder).transcribe(audio, Options(), lambda: True)


def test_a_machine_without_cuda_refuses_to_pretend(folder):
    with pytest.raises(RuntimeError, match="no CUDAExecutionProvider"):
        engine(folder, device="cuda")


def test_a_folder_without_the_model_is_told_by_the_file_that_lacks(tmp_path):
    with pytest.raises((RuntimeError, OSError), match=r"vocab|model"):
        engine(tmp_path)


def test_a_broken_model_is_an_error_that_the_process_can_tell(folder, tmp_path):
    write_model(tmp_path)
    (tmp_path / "encoder-model.onnx").write_bytes(b"\x08\xff")

    with pytest.raises(RuntimeError):
        engine(tmp_path)


async def test_the_server_of_a_parakeet_replica_serves_it_in_a_process_of_its_own(folder, tmp_path):
    port = free_port()
    launch = {
        "model_path": str(folder),
        "model": "nemo-conformer-tdt",
        "device": "cpu",
        "served_name": "nvidia/parakeet-tdt-0.6b-v3",
        "host": "127.0.0.1",
        "port": port,
        "engine": "onnx-asr",
        "threads": 1,
        "workers": 1,
        "beam_size": 1,
        "compute_type": "float32",
        "queue_length_max": 4,
        "audio_bytes_max": 2**20,
        "audio_seconds_max": 60,
    }
    path = tmp_path / "speech.json"
    path.write_text(json.dumps(launch))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hostler_speech",
        str(path),
        env={**os.environ, "HOSTLER_REPLICA_API_KEY": "key"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(headers={"authorization": "Bearer key"}) as session:
            # It listens before it has loaded its model, and says so once it has.
            async for line in process.stdout:
                if b"serving" in line:
                    break
            async with session.get(f"{url}/health") as response:
                assert response.status == 200
            form = aiohttp.FormData(
                {"model": "any", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
            )
            form.add_field("file", beeps(4.0, (1.0, 1.5)), filename="beep.wav")
            async with session.post(f"{url}/v1/audio/transcriptions", data=form) as response:
                body = await response.json()
    finally:
        process.terminate()
        await process.wait()

    assert body["words"][0]["start"] == pytest.approx(1.0, abs=0.15)
    assert body["text"].startswith("beep")
    assert body["usage"] == {"type": "duration", "seconds": 4}
