"""Server-sent events, cut out of bytes that arrive in any pieces.

Used by whatever reads or ends a stream. An event is handed on as the bytes it came in, with its blank line, and only when it is whole,
so that what a broken replica leaves half said never reaches a client. Lines may end in LF, CRLF or CR.
"""

import re
from typing import Final

# The groups are atomic: without that, a CRLF could be read as two line ends and thereby as a blank line.
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_LONGEST_BLANK_LINE: Final = 4
DONE: Final = b"[DONE]"


class EventTooLong(ValueError):
    """An event went on beyond the limit without its blank line."""


class EventSplitter:
    """Takes bytes, gives whole events."""

    def __init__(self, event_bytes_max: int) -> None:
        self._event_bytes_max = event_bytes_max
        self._rest = b""

    @property
    def empty(self) -> bool:
        """Whether the next byte begins an event."""
        return not self._rest

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes, each with its blank line.

        Raises:
            EventTooLong: an unfinished event is longer than the limit.
        """
        # A blank line may straddle the seam; further back the rest has been searched already.
        position = max(len(self._rest) - _LONGEST_BLANK_LINE, 0)
        rest = self._rest + data
        start = 0
        events: list[bytes] = []
        while found := _BLANK_LINE.search(rest, position):
            end = found.end()
            if end == len(rest) and rest.endswith(b"\r"):
                break  # an LF that belongs to this CR may still come
            events.append(rest[start:end])
            start = position = end
        self._rest = rest[start:]
        if len(self._rest) > self._event_bytes_max:
            raise EventTooLong(f"an event is longer than {self._event_bytes_max} bytes")
        return events

    def close(self) -> list[bytes]:
        """What the end of the bytes makes whole; an event without its blank line is dropped.

        The end mark is taken without one too: some servers leave it out, and nothing can be missing after it.
        """
        rest, self._rest = self._rest, b""
        if _BLANK_LINE.search(rest):
            return [rest]
        return [b"data: [DONE]\n\n"] if data_of(rest) == DONE else []


def data_of(event: bytes) -> bytes | None:
    """What an event's `data` lines say, joined; None for one without any, such as a comment."""
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def event_of(data: bytes) -> bytes:
    """An event that says `data`, which must be one line."""
    return b"data: " + data + b"\n\n"
