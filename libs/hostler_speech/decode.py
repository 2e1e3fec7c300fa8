"""Any audio file to what every engine listens to: one channel, 16,000 samples a second, as floating point numbers.

Called by the server in a worker thread. FFmpeg's libraries do the work, in the form of PyAV's wheel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt

from hostler_speech.transcript import BadAudio

SAMPLE_RATE = 16_000
_MOMENT_SAMPLES = SAMPLE_RATE // 10


@dataclass(frozen=True, slots=True)
class Audio:
    """Samples from -1 to 1, 16,000 a second."""

    samples: npt.NDArray[np.float32]

    @property
    def duration_seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE

    def cut(self, seconds_max: float, search_seconds: float) -> Iterator[tuple[float, "Audio"]]:
        """Pieces of at most `seconds_max`, each with the second at which it begins.

        They end at the quietest moment of their last `search_seconds`, which is seldom within a word.
        """
        begin, longest, search = (int(each * SAMPLE_RATE) for each in (0, seconds_max, search_seconds))
        while len(self.samples) - begin > longest:
            end = begin + longest
            moments = self.samples[end - search : end]
            moments = moments[: len(moments) // _MOMENT_SAMPLES * _MOMENT_SAMPLES].reshape(
                -1, _MOMENT_SAMPLES
            )
            quietest = int(np.square(moments).sum(axis=1).argmin())
            end += quietest * _MOMENT_SAMPLES + _MOMENT_SAMPLES // 2 - search
            yield begin / SAMPLE_RATE, Audio(self.samples[begin:end])
            begin = end
        yield begin / SAMPLE_RATE, Audio(self.samples[begin:])


def decode(file: BinaryIO, *, seconds_max: float) -> Audio:
    """The first audio track of a file.

    Raises:
        BadAudio: there is none, it can't be read, or it is too long: a small file may hold days of silence.
    """
    try:
        pieces = tuple(_pieces(file, int(seconds_max * SAMPLE_RATE)))
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise BadAudio("The file can't be decoded as audio.") from error
    if not pieces:
        raise BadAudio("The file has no audio in it.")
    return Audio(np.concatenate(pieces).astype(np.float32) / 32768.0)


def _pieces(file: BinaryIO, samples_max: int) -> Iterator[npt.NDArray[np.int16]]:
    count = 0
    with av.open(file, mode="r", metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise BadAudio("The file has no audio track.")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        # The None at the end makes the resampler give out what it still holds.
        for frame in chain(container.decode(container.streams.audio[0]), (None,)):
            for resampled in resampler.resample(frame):
                piece = resampled.to_ndarray().reshape(-1).astype(np.int16, copy=False)
                count += len(piece)
                if count > samples_max:
                    raise BadAudio(f"The audio is longer than {samples_max / SAMPLE_RATE:g} seconds.")
                yield piece
