"""A form with a file in it on its way: kept as far as it has come, and sent from there, even while the rest of it still arrives.

Filled by `uploads`, sent by the try. It lies in memory as long as it is small, and in a temporary file without a name from then on, so
the router's memory does not grow with what is uploaded, and a replica that fails can be followed by another that gets the same.
"""

from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Final

_PIECE_BYTES: Final = 64 * 1024


class UploadSpool:
    """What has come of a form, without its model.

    Attributes:
        size: How much that is.
        whole: Everything has come.
        expected: How much the client announced; 0 where it did not.
    """

    __slots__ = ("_file", "expected", "size", "whole")

    def __init__(self, *, memory_bytes: int, expected: int = 0) -> None:
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115  # closed at the end
        self.size = 0
        self.whole = False
        self.expected = expected

    def write(self, data: bytes) -> None:
        """Keep what came. A piece goes to the kernel's memory, quicker than a thread would be asked to do it."""
        self._file.seek(self.size)
        self.size += self._file.write(data)

    def read(self, begin: int) -> bytes:
        """A piece from there on; empty where nothing has come yet."""
        if begin >= self.size:
            return b""
        self._file.seek(begin)
        return self._file.read(min(_PIECE_BYTES, self.size - begin))

    def close(self) -> None:
        """Nothing of it is wanted any more."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class FormBody:
    """A form to be sent to a replica, as often as needed.

    Its field `model` goes out first, as the replica knows it: so a replica can be sent a form whose model stands behind the file, or
    in the head of the request.

    Attributes:
        spool: The rest of it.
        content_type: With its boundary.
        delimiter: Between its parts.
        model: What it asks for.
    """

    spool: UploadSpool = field(repr=False)
    content_type: str
    delimiter: bytes
    model: str = ""

    @property
    def preamble(self) -> bytes:
        """What goes ahead of what is kept."""
        head = self.delimiter + b'\r\ncontent-disposition: form-data; name="model"\r\n\r\n'
        return head + self.model.encode() + b"\r\n"

    @property
    def length(self) -> int | None:
        """How many bytes are sent; None while that is not known."""
        return len(self.preamble) + self.spool.size if self.spool.whole else None

    @property
    def length_about(self) -> int:
        """The same as far as the client has told."""
        return max(self.spool.size, self.spool.expected)

    @property
    def whole(self) -> bool:
        """Everything of it is here."""
        return self.spool.whole


class Passage:
    """One sending of a form, from its first byte to its last; in chunks where its length is not known when it begins.

    Attributes:
        done: All of it was given out.
    """

    __slots__ = ("_ahead", "_at", "_chunked", "_spool", "done")

    def __init__(self, body: FormBody) -> None:
        self._spool = body.spool
        self._ahead = body.preamble
        self._at = 0
        self._chunked = not body.whole
        self.done = False

    def take(self) -> bytes:
        """What to send next; empty where nothing more has come yet, or all was given out."""
        if self.done:
            return b""
        data, self._ahead = self._ahead, b""
        if not data:
            data = self._spool.read(self._at)
            self._at += len(data)
        self.done = self._spool.whole and self._at == self._spool.size
        if not self._chunked:
            return data
        last = b"0\r\n\r\n" if self.done else b""
        return b"%x\r\n%b\r\n%b" % (len(data), data, last) if data else last
