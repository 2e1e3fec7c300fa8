"""A form with a file in it as it passes through: read piece by piece, written anew, two of its fields known at the end.

Pure; fed by `uploads`. What is kept is not what came but what was understood of it, so that a replica can't read another model into
the same bytes than the router did. Parts keep their order, their names, their content and its type.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hostler_router.openai_errors import Refused, invalid

_VALUE_BYTES_MAX: Final = 2048
"""Longest of the fields that are read; those that are not may be longer."""
_PARTS_MAX: Final = 64
_PIECE_BYTES: Final = 64 * 1024
_READ: Final = (b"model", b"stream")

_UNREADABLE = invalid("The form can't be read as multipart/form-data.", code="invalid_form")


@dataclass(frozen=True, slots=True)
class FormBody:
    """A form that was read, to be sent to a replica as often as needed.

    Attributes:
        file: Where it lies.
        size: How long it is there.
        content_type: With its boundary.
        model_at: Where the model's name begins and ends.
        model: Another name to send instead; None for what was asked for.
    """

    file: IO[bytes]
    size: int
    content_type: str
    model_at: tuple[int, int]
    model: str | None = None

    @property
    def length(self) -> int:
        """How many bytes are sent."""
        begin, end = self.model_at
        return self.size if self.model is None else self.size - (end - begin) + len(self.model.encode())

    def pieces(self) -> Iterator[bytes]:
        """All of it, in pieces; only one reader at a time."""
        if self.model is None:
            yield from self._between(0, self.size)
            return
        begin, end = self.model_at
        yield from self._between(0, begin)
        yield self.model.encode()
        yield from self._between(end, self.size)

    def _between(self, begin: int, end: int) -> Iterator[bytes]:
        self.file.seek(begin)
        while begin < end and (piece := self.file.read(min(_PIECE_BYTES, end - begin))):
            yield piece
            begin += len(piece)


@dataclass(slots=True)
class _Part:
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    name: bytes = b""
    begin: int = 0


class FormReader:
    """Reads one form.

    Attributes:
        content_type: Of what it gives out.
        values: Of the fields that are read, by name.
        model_at: Where the model's name stands in what it gave out; None before it came.
    """

    def __init__(self, content_type: str) -> None:
        """Start reading.

        Raises:
            Refused: the content type is not that of a form.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            message = "The request body must be multipart/form-data with a boundary."
            raise Refused(invalid(message, code="invalid_content_type"))
        self.content_type = content_type
        self.values: dict[bytes, bytes] = {}
        self.model_at: tuple[int, int] | None = None
        self._delimiter = b"--" + boundary
        self._out: list[bytes] = []
        self._given = 0
        self._parts = 0
        self._part = _Part()
        self._header = (b"", b"")
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise Refused(_UNREADABLE) from None

    def feed(self, data: bytes) -> bytes:
        """What to keep for what came.

        Raises:
            Refused: it is no form, or one with too much in it.
        """
        try:
            self._parser.write(data)
        except FormParserError:
            raise Refused(_UNREADABLE) from None
        out, self._out = b"".join(self._out), []
        return out

    def close(self) -> None:
        """Everything has come.

        Raises:
            Refused: the form has no end.
        """
        if not self._ended:
            raise Refused(_UNREADABLE)

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self._given += len(data)

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS_MAX:
            message = f"The form has more than {_PARTS_MAX} parts."
            raise Refused(invalid(message, code="invalid_form"))
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name + data[start:end], value)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name, value + data[start:end])

    def _on_header_end(self) -> None:
        self._part.headers.append(self._header)
        self._header = (b"", b"")

    def _on_headers_finished(self) -> None:
        part = self._part
        self._write(self._delimiter + b"\r\n")
        headers = {name.lower(): value for name, value in part.headers}
        kind, options = parse_options_header(headers.get(b"content-disposition", b""))
        part.name = options.get(b"name", b"")
        if kind != b"form-data" or not part.name:
            message = "Every part of the form must be a field with a name."
            raise Refused(invalid(message, code="invalid_form"))
        kept = (b"name", b"filename")
        shown = b"".join(b'; %s="%s"' % (key, _quoted(options[key])) for key in kept if key in options)
        self._write(b"content-disposition: form-data" + shown + b"\r\n")
        if b"content-type" in headers:
            self._write(b"content-type: " + headers[b"content-type"] + b"\r\n")
        self._write(b"\r\n")
        part.begin = self._given
        if part.name in self.values:
            twice = part.name.decode()
            message = f"The form has more than one field {twice!r}."
            raise Refused(invalid(message, code="invalid_form", param=twice))
        if part.name in _READ:
            self.values[part.name] = b""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        self._write(piece)
        name = self._part.name
        if name in _READ:
            self.values[name] += piece
            if len(self.values[name]) > _VALUE_BYTES_MAX:
                shown = name.decode()
                message = f"The field {shown!r} is longer than {_VALUE_BYTES_MAX} bytes."
                raise Refused(invalid(message, code="invalid_value", param=shown))

    def _on_part_end(self) -> None:
        if self._part.name == b"model":
            self.model_at = (self._part.begin, self._given)
        self._write(b"\r\n")

    def _on_end(self) -> None:
        self._write(self._delimiter + b"--\r\n")
        self._ended = True


def _quoted(value: bytes) -> bytes:
    """As browsers write it."""
    return value.replace(b'"', b"%22")
