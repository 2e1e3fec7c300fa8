"""Heads of requests as they were read, and of answers as they are written.

Pure but for the date, which the clock of the process gives once a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

Header = tuple[bytes, bytes]

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}


@dataclass(slots=True)
class Head:
    """The head of a request.

    Attributes:
        method: In capitals.
        target: Path and query, as they came.
        headers: Names in lower case; of several with one name the first.
        keep_alive: Whether the client will send another request on the connection.
        one_point_one: Whether it speaks HTTP/1.1, so that an answer may come in chunks.
    """

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    keep_alive: bool
    one_point_one: bool

    @property
    def length(self) -> int | None:
        """Announced length of the body; None where none is announced. The parser has made sure that it is a number."""
        announced = self.headers.get(b"content-length")
        return None if announced is None else int(announced)


class DateLine:
    """The `date` header, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def at(self, unix_seconds: float) -> bytes:
        """The line for this moment."""
        second = int(unix_seconds)
        if second != self._second:
            self._second = second
            self._line = b"date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._line


def answer_head(status: int, date_line: bytes, headers: Iterable[Header]) -> bytes:
    """The head of an answer, with its blank line. What is put into `headers` must be free of line ends."""
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, date_line]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)
