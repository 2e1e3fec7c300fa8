"""The engine `onnx-asr`: NVIDIA's Parakeet models and others of that family in ONNX's form, on a GPU or the CPU.

It transcribes in the language that it hears; prompts and temperatures mean nothing to it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import onnx_asr
import onnxruntime
from onnx_asr.utils import ModelLoadingError
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NoSuchFile

from hostler_speech.decode import Audio
from hostler_speech.engine import EngineSettings
from hostler_speech.spoken_words import sentences, words
from hostler_speech.transcript import Abandoned, Options, Segment, Transcript

_PIECE_SECONDS, _SEARCH_SECONDS = 30.0, 10.0
"""These models hear all that they are given at once, and were trained on half a minute."""
_PROVIDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"), "cpu": ("CPUExecutionProvider",)}
)
_EUROPEAN = "bg hr cs da nl en et fi fr de el hu it lv lt mt pl pt ro sk sl es sv ru uk"
_LANGUAGES: Mapping[str, frozenset[str]] = MappingProxyType(
    {"nemo-parakeet-tdt-0.6b-v3": frozenset(_EUROPEAN.split())}
)


class OnnxAsrEngine:
    """See `hostler_speech.engine.Engine`."""

    def __init__(self, settings: EngineSettings) -> None:
        providers = _PROVIDERS[settings.device]
        # Without its first provider the library would go on with the next, a hundred times slower, and say nothing.
        if providers[0] not in onnxruntime.get_available_providers():
            raise RuntimeError(f"this installation of ONNX Runtime has no {providers[0]}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        try:
            self._model = onnx_asr.load_model(
                settings.model,
                settings.model_path if settings.model_path.is_dir() else None,
                providers=providers,
                sess_options=options,
            ).with_timestamps()
        except (ModelLoadingError, Fail, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
            raise RuntimeError(str(error)) from error
        self.languages = _LANGUAGES.get(settings.model, frozenset({"en"}))
        self.translates = False

    def transcribe(self, audio: Audio, options: Options, abandoned: Callable[[], bool]) -> Transcript:
        """Listen to all of it, piece by piece."""
        segments: list[Segment] = []
        for offset_seconds, piece in audio.cut(_PIECE_SECONDS, _SEARCH_SECONDS):
            if abandoned():
                raise Abandoned
            heard = self._model.recognize(piece.samples, sample_rate=16_000)
            spoken = words(heard.tokens or (), heard.timestamps or (), piece.duration_seconds)
            segments.extend(sentences(spoken, offset_seconds, with_words=options.words))
        only = next(iter(self.languages)) if len(self.languages) == 1 else ""
        return Transcript(options.task, options.language or only, audio.duration_seconds, tuple(segments))
