"""The engine `faster-whisper`: Whisper's models in CTranslate2's form, on the CPU."""

from collections.abc import Callable

from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment as FoundSegment

from hostler_speech.decode import Audio
from hostler_speech.engine import EngineSettings
from hostler_speech.transcript import Abandoned, Options, Segment, Transcript, Word

_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried in this order until the words look like speech; Whisper's own habit."""
_PIECE_SECONDS, _SEARCH_SECONDS = 300.0, 15.0
"""The library analyses all that it is given before it listens, a megabyte of memory a second; so it is given pieces."""


class FasterWhisperEngine:
    """See `hostler_speech.engine.Engine`."""

    def __init__(self, settings: EngineSettings) -> None:
        self._model = WhisperModel(
            str(settings.model_path),
            device="cpu",
            compute_type=settings.compute_type,
            cpu_threads=settings.threads,
            num_workers=settings.workers,
            local_files_only=True,
        )
        self._beam_size = settings.beam_size
        self.languages = frozenset(str(each) for each in self._model.supported_languages)
        self.translates = bool(self._model.model.is_multilingual)

    def transcribe(self, audio: Audio, options: Options, abandoned: Callable[[], bool]) -> Transcript:
        """Listen to all of it, piece by piece."""
        segments: list[Segment] = []
        language = options.language
        for offset_seconds, piece in audio.cut(_PIECE_SECONDS, _SEARCH_SECONDS):
            found, info = self._model.transcribe(
                piece.samples,
                language=language,
                task=options.task,
                beam_size=self._beam_size,
                temperature=options.temperature or _TEMPERATURES,
                initial_prompt=options.prompt,
                word_timestamps=options.words,
            )
            # What the first piece is in the others are in as well.
            language = str(info.language)
            # The work is done as the segments are taken.
            for each in found:
                if abandoned():
                    raise Abandoned
                segments.append(_segment(each, offset_seconds))
        return Transcript(options.task, language or "", audio.duration_seconds, tuple(segments))


def _segment(found: FoundSegment, offset_seconds: float) -> Segment:
    """A segment as the library gives it, as ours."""
    return Segment(
        start=round(float(found.start) + offset_seconds, 3),
        end=round(float(found.end) + offset_seconds, 3),
        text=found.text,
        seek=int(found.seek) + round(offset_seconds * 100),
        tokens=tuple(int(token) for token in found.tokens),
        temperature=float(found.temperature or 0.0),
        avg_logprob=float(found.avg_logprob),
        compression_ratio=float(found.compression_ratio),
        no_speech_prob=float(found.no_speech_prob),
        words=tuple(
            Word(
                word.word.strip(),
                round(float(word.start) + offset_seconds, 3),
                round(float(word.end) + offset_seconds, 3),
            )
            for word in found.words or ()
        ),
    )
