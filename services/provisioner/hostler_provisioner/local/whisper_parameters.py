"""What a job may say about a `whisper` replica, checked like what it may say about the others."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from hostler_domain.errors import PermanentError
from hostler_provisioner.local.parameters import unknown_argument, whole_number

_COMPUTE_TYPES = ("int8", "int8_float32", "float32")
# Lowest and highest allowed.
_INTEGERS: dict[str, tuple[int, int]] = {
    "threads": (1, 256),
    "workers": (1, 16),
    "beam_size": (1, 10),
    "queue_length_max": (0, 1_000),
    "audio_bytes_max": (1_024, 999_999_999),
    "audio_seconds_max": (1, 14_400),
}


@dataclass(frozen=True, slots=True)
class WhisperParameters:
    """How the transcription server is run.

    Attributes:
        threads: Compute threads of each worker.
        workers: Transcriptions at once.
        beam_size: How many readings are followed side by side: fewer are quicker and hear worse.
        compute_type: Numbers that it computes with.
        queue_length_max: Requests that may wait for a worker.
        audio_bytes_max: Largest file.
        audio_seconds_max: Longest audio.
        engine: The engine's name in the table of `hostler_speech`.
    """

    threads: int
    workers: int = 1
    beam_size: int = 5
    compute_type: str = "int8"
    queue_length_max: int = 16
    audio_bytes_max: int = 25 * 2**20
    audio_seconds_max: int = 3_600
    engine: str = "faster-whisper"


_PARAMETERS = TypeAdapter(WhisperParameters)


def parse_whisper_args(args: Iterable[tuple[str, str]], *, default_threads: int) -> WhisperParameters:
    """The parameters that `args` ask for.

    Raises:
        PermanentError: an argument is unknown or out of bounds; the message names it.
    """
    given: dict[str, int | str] = {"threads": default_threads}
    for name, value in args:
        if name in _INTEGERS:
            given[name] = whole_number(name, value, *_INTEGERS[name])
        elif name == "compute_type":
            if value not in _COMPUTE_TYPES:
                raise PermanentError(
                    f"argument compute_type must be one of {', '.join(_COMPUTE_TYPES)}, not {value!r}"
                )
            given[name] = value
        else:
            raise PermanentError(unknown_argument(name, "whisper", (*_INTEGERS, "compute_type")))
    return _PARAMETERS.validate_python(given)
