"""Reading a form with a file in it: the file goes to disk as it comes, and too large a one is refused while it does.

Called by the server. The temporary file has no name, so nothing of it is left however the process ends.
"""

import tempfile
from dataclasses import dataclass, field
from typing import BinaryIO

from aiohttp import BodyPartReader, MultipartReader, web

_PIECE_BYTES = 64 * 1024
_FIELD_BYTES_MAX = 64 * 1024
_FIELDS_MAX = 32


class BadForm(Exception):
    """The body is not the form that this interface takes."""


class TooLarge(Exception):
    """The body is over the limit."""


@dataclass(slots=True)
class Upload:
    """A form as it was read.

    Attributes:
        file: The audio.
        size: Its bytes; 0 for an empty file, None where no file came.
        fields: Values of the others by name; those of `name[]` are under `name`.
    """

    file: BinaryIO
    size: int | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)


async def read_upload(request: web.Request, upload: Upload, *, bytes_max: int) -> None:
    """Read the form of a request into `upload`.

    Raises:
        BadForm: it is none.
        TooLarge: it is larger than `bytes_max`.
    """
    if request.content_type != "multipart/form-data":
        raise BadForm("The body must be multipart/form-data with a file in the field 'file'.")
    if (request.content_length or 0) > bytes_max:
        raise TooLarge
    try:
        await _read_parts(await request.multipart(), upload, bytes_max)
    except ValueError as error:
        raise BadForm("The form can't be read.") from error


def temporary_file() -> BinaryIO:
    """A file that is gone when it is closed."""
    return tempfile.TemporaryFile()


async def _read_parts(reader: MultipartReader, upload: Upload, bytes_max: int) -> None:
    budget = bytes_max
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise BadForm("Every part of the form must be a field with a name.")
        if part.name == "file":
            if upload.size is not None:
                raise BadForm("The field 'file' is given more than once.")
            upload.size = await _to_file(part, upload.file, budget)
            budget -= upload.size
        else:
            value = await _value(part)
            budget -= len(value)
            _add(upload.fields, part.name, value)
        if budget < 0:
            raise TooLarge


async def _to_file(part: BodyPartReader, file: BinaryIO, bytes_max: int) -> int:
    size = 0
    while piece := await part.read_chunk(_PIECE_BYTES):
        size += len(piece)
        if size > bytes_max:
            raise TooLarge
        # A piece goes to the kernel's memory, quicker than a thread would be asked to do it.
        file.write(piece)
    file.seek(0)
    return size


async def _value(part: BodyPartReader) -> bytes:
    value = b""
    while piece := await part.read_chunk(_PIECE_BYTES):
        value += piece
        if len(value) > _FIELD_BYTES_MAX:
            raise BadForm(f"The field {part.name!r} is longer than {_FIELD_BYTES_MAX} bytes.")
    return value


def _add(fields: dict[str, list[str]], name: str, value: bytes) -> None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise BadForm(f"The field {name!r} is not UTF-8.") from None
    values = fields.setdefault(name.removesuffix("[]"), [])
    values.append(text)
    if len(fields) > _FIELDS_MAX or len(values) > _FIELDS_MAX:
        raise BadForm("The form has too many fields.")
