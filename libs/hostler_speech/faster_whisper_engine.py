"""The engine `faster-whisper`: Whisper's models in CTranslate2's form, on the CPU."""

from collections.abc import Callable

from faster_whisper import WhisperModel

from hostler_speech.decode import Audio
from hostler_speech.engine import EngineSettings
from hostler_speech.transcript import Abandoned, Options, Segment, Transcript, Word

_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried in this order until the words look like speech; Whisper's own habit."""


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
        """Listen to all of it, window by window."""
        found, info = self._model.transcribe(
            audio.samples,
            language=options.language,
            task=options.task,
            beam_size=self._beam_size,
            temperature=options.temperature or _TEMPERATURES,
            initial_prompt=options.prompt,
            word_timestamps=options.words,
        )
        segments: list[Segment] = []
        # The work is done as the segments are taken.
        for each in found:
            if abandoned():
                raise Abandoned
            segments.append(
                Segment(
                    start=round(float(each.start), 3),
                    end=round(float(each.end), 3),
                    text=each.text,
                    seek=int(each.seek),
                    tokens=tuple(int(token) for token in each.tokens),
                    temperature=float(each.temperature or 0.0),
                    avg_logprob=float(each.avg_logprob),
                    compression_ratio=float(each.compression_ratio),
                    no_speech_prob=float(each.no_speech_prob),
                    words=tuple(
                        Word(word.word.strip(), round(float(word.start), 3), round(float(word.end), 3))
                        for word in each.words or ()
                    ),
                )
            )
        return Transcript(options.task, str(info.language), audio.duration_seconds, tuple(segments))
