"""What goes into an engine and what comes out: values that every engine shares.

The server makes the options, engines make the transcripts, and `formats` writes them.
"""

from dataclasses import dataclass
from enum import StrEnum


class BadAudio(Exception):
    """What was sent can't be transcribed; the message says why."""


class Abandoned(Exception):
    """Nobody waits for the transcript any more."""


class Task(StrEnum):
    """What is made from speech."""

    TRANSCRIBE = "transcribe"
    """Its words."""
    TRANSLATE = "translate"
    """Its words in English."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to listen.

    Attributes:
        task: What to make from it.
        language: ISO 639-1 code of what is spoken; None lets the engine find out.
        prompt: Text before it, or in its style.
        temperature: How freely words are chosen; 0 lets the engine raise it where it is unsure.
        words: Whether times of single words are wanted.
    """

    task: Task = Task.TRANSCRIBE
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    words: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """One word and when it is said."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or a part of one.

    Attributes:
        start: In seconds from the beginning.
        end: Likewise.
        text: As it is written, often with a space before it.
        seek: Where the engine's window began, in hundredths of a second.
        tokens: The engine's own numbers for the text; empty where it has none.
        temperature: With which it was found.
        avg_logprob: How sure the engine was; the higher the surer.
        compression_ratio: High for text that repeats itself.
        no_speech_prob: That nothing was said.
        words: Its words, where they were asked for.
    """

    start: float
    end: float
    text: str
    seek: int = 0
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that was said.

    Attributes:
        task: What was made.
        language: ISO 639-1 code of what is spoken.
        duration_seconds: Length of the audio.
        segments: In order.
    """

    task: Task
    language: str
    duration_seconds: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The words alone."""
        return "".join(segment.text for segment in self.segments).strip()
