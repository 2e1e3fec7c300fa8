"""One answer that is not a stream, as it comes from a replica: held back until it is whole, then read.

Pure; fed by the try in place of a stream's filter. An answer too large to be held back passes as it comes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from hostler_router.answer_usage import Usage, read_audio_seconds, read_usage_of
from hostler_router.openai_errors import REPLICA_FAILED, ErrorReply
from hostler_router.outliers import Failure
from hostler_router.upstream_errors import TRY_ELSEWHERE, normalised

_ERROR_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Unfit:
    """An answer that is no client's to know: another replica may do better.

    Attributes:
        error: What is said where none does.
        failure: Of the replica.
    """

    error: ErrorReply
    failure: Failure


class PlainAnswer:
    """An answer.

    Attributes:
        content_type: Of it.
        large: It is too large to be held back.
        usage: What the runtime said that it took; known once it is whole.
    """

    __slots__ = ("_headers", "_pieces", "_room", "_status", "content_type", "large", "usage")

    def __init__(
        self, status: int, content_type: bytes, headers: Mapping[bytes, bytes], *, bytes_max: int
    ) -> None:
        """Begin one.

        Args:
            status: Of its head.
            content_type: Likewise.
            headers: Likewise, names in lower case.
            bytes_max: How much is held back; of errors less is enough.
        """
        self._status = status
        self._headers = headers
        self._pieces: list[bytes] = []
        self._room = bytes_max if status < 400 else _ERROR_BYTES_MAX
        self.content_type = content_type
        self.large = False
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Take a piece; gives what passes now, which is nothing while it is held back, or None where enough of an error has come."""
        if self.large:
            return data
        self._pieces.append(data)
        self._room -= len(data)
        if self._room >= 0:
            return b""
        if self._status != 200:
            return None
        self.large = True
        content, self._pieces = b"".join(self._pieces), []
        return content

    def close(self) -> bytes | ErrorReply | Unfit:
        """What it is, now that all of it has come: the content, an error that is the client's to know, or nothing for it."""
        status = self._status
        if status in TRY_ELSEWHERE:
            return Unfit(normalised(status, b""), Failure.ERROR)
        content = b"".join(self._pieces)
        if status != 200:
            retry_after = self._headers.get(b"retry-after")
            return normalised(status, content, None if retry_after is None else retry_after.decode("latin-1"))
        seconds = self._headers.get(b"x-audio-seconds")
        self.usage = None if seconds is None else read_audio_seconds(seconds.decode("latin-1"))
        if self.content_type[:16].lower() == b"application/json":
            try:
                self.usage = read_usage_of(content) or self.usage
            except msgspec.DecodeError:
                # Cut off where the length was not announced.
                return Unfit(REPLICA_FAILED, Failure.BROKEN)
        return content
