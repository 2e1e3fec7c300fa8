"""What turns audio into text, behind one port, and the table of what there is.

An engine is loaded once per process, off the event loop, and called from worker threads, never from two at once unless there are
several workers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from hostler_speech.decode import Audio
from hostler_speech.transcript import Options, Transcript


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine is loaded.

    Attributes:
        model_path: Folder with the weights.
        threads: Compute threads of each worker.
        workers: Transcriptions at once.
        beam_size: How many readings are followed side by side.
        compute_type: Numbers that it computes with, such as `int8`.
        model: Which model is in the folder, for an engine that has to be told; it fetches that one from the hub where there is no
            such folder.
        device: What computes: `cpu` or `cuda`.
    """

    model_path: Path
    threads: int
    workers: int
    beam_size: int
    compute_type: str
    model: str = ""
    device: str = "cpu"


class Engine(Protocol):
    """A loaded model.

    Attributes:
        languages: ISO 639-1 codes of what it understands.
        translates: Whether it can also give the words in English.
    """

    languages: frozenset[str]
    translates: bool

    def transcribe(self, audio: Audio, options: Options, abandoned: Callable[[], bool]) -> Transcript:
        """Listen to all of it. Blocks.

        Args:
            audio: What was said.
            options: How to listen.
            abandoned: Whether nobody waits any more; asked now and then.

        Raises:
            Abandoned: nobody does.
        """
        ...


def _faster_whisper(settings: EngineSettings) -> Engine:
    # Late: a hundred megabytes of libraries, which only this engine needs.
    from hostler_speech.faster_whisper_engine import FasterWhisperEngine

    return FasterWhisperEngine(settings)


def _onnx_asr(settings: EngineSettings) -> Engine:
    # Late, likewise.
    from hostler_speech.onnx_asr_engine import OnnxAsrEngine

    return OnnxAsrEngine(settings)


FASTER_WHISPER, ONNX_ASR = "faster-whisper", "onnx-asr"
ENGINES: Mapping[str, Callable[[EngineSettings], Engine]] = MappingProxyType(
    {FASTER_WHISPER: _faster_whisper, ONNX_ASR: _onnx_asr}
)
"""By name; each loads the model, which takes a while."""
