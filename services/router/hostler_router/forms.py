"""A form with a file in it as it passes through: read piece by piece and written anew, all but its model.

Pure; fed by `uploads`. What is given out is not what came but what was understood of it, so that a replica can't read another model into
the same bytes than the router did. The field `model` is left out, since whoever sends the form on says the model first; the other
parts keep their order, their names, their content and its type.
"""

from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hostler_router.openai_errors import Refused, invalid

_VALUE_BYTES_MAX: Final = 2048
"""Longest of the fields that are read; those that are not may be longer."""
_PARTS_MAX: Final = 64
_MODEL: Final = b"model"
_READ: Final = (_MODEL, b"stream")

_UNREADABLE = invalid("The form can't be read as multipart/form-data.", code="invalid_form")


@dataclass(slots=True)
class _Part:
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    name: bytes = b""


class FormReader:
    """Reads one form.

    Attributes:
        content_type: Of what it gives out.
        delimiter: What stands between the parts of what it gives out.
        values: Of the fields that are read, by name.
        model_known: The field `model` has come.
        file_begun: A file has begun.
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
        self.model_known = False
        self.file_begun = False
        self.delimiter = b"--" + boundary
        self._out: list[bytes] = []
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
        if self._part.name != _MODEL:
            self._out.append(data)

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
        headers = {name.lower(): value for name, value in part.headers}
        kind, options = parse_options_header(headers.get(b"content-disposition", b""))
        part.name = options.get(b"name", b"")
        if kind != b"form-data" or not part.name:
            message = "Every part of the form must be a field with a name."
            raise Refused(invalid(message, code="invalid_form"))
        self._write(self.delimiter + b"\r\n")
        kept = (b"name", b"filename")
        shown = b"".join(b'; %s="%s"' % (key, _quoted(options[key])) for key in kept if key in options)
        self._write(b"content-disposition: form-data" + shown + b"\r\n")
        if b"content-type" in headers:
            self._write(b"content-type: " + headers[b"content-type"] + b"\r\n")
        self._write(b"\r\n")
        if part.name in self.values:
            twice = part.name.decode()
            message = f"The form has more than one field {twice!r}."
            raise Refused(invalid(message, code="invalid_form", param=twice))
        if part.name in _READ:
            self.values[part.name] = b""
        self.file_begun = self.file_begun or b"filename" in options

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
        self.model_known = self.model_known or self._part.name == _MODEL
        self._write(b"\r\n")

    def _on_end(self) -> None:
        self._out.append(self.delimiter + b"--\r\n")
        self._ended = True


def _quoted(value: bytes) -> bytes:
    """As browsers write it."""
    return value.replace(b'"', b"%22")
