"""Heads of requests as they were read, and of answers as they are written.

Pure but for the date, which the clock of the process gives once a second.
"""

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec

Header = tuple[bytes, bytes]

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}


class Fields(dict[bytes, bytes]):
    """The headers of a request, and what somebody who read them wants to find again.

    A client that keeps its connection mostly says the same in every request. It gets the same object for all of them then, so
    whoever reads it may keep in `known` what follows from these headers alone.
    """

    __slots__ = ("known",)

    def __init__(self, given: dict[bytes, bytes]) -> None:
        """Take headers as they came, names in any case; of several with one name the first stays."""
        super().__init__({name.lower(): value for name, value in reversed(given.items())})
        self.known: object = None


class Head(msgspec.Struct, gc=False):
    """The head of a request; a struct of msgspec because one is made for every request.

    Attributes:
        method: In capitals.
        target: Path and query, as they came.
        headers: Names in lower case, without the length.
        length: Announced length of the body; None where none is announced.
        keep_alive: Whether the client will send another request on the connection.
        one_point_one: Whether it speaks HTTP/1.1, so that an answer may come in chunks.
    """

    method: str
    target: bytes
    headers: Fields
    length: int | None
    keep_alive: bool
    one_point_one: bool


def date_line(unix_seconds: float) -> bytes:
    """The `date` header."""
    return b"date: " + formatdate(int(unix_seconds), usegmt=True).encode() + b"\r\n"


def answer_head(status: int, date_line: bytes, headers: Iterable[Header], more: bytes = b"") -> bytes:
    """The head of an answer, with its blank line. What is put into `headers` must be free of line ends; `more` are whole lines."""
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, date_line]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    lines += (more, b"\r\n")
    return b"".join(lines)


def what_is_wrong(error: Exception) -> str:
    """What a parser says of what it can't parse, where that is fit for the client."""
    text = str(error.args[0]) if error.args else ""
    return text if text.isascii() and text.isprintable() and len(text) < 200 else "it can't be parsed"
