"""The files of the usage spool: a line per batch, whole or not there. The spool is the only caller.

A line is `crc32 subject msg_id requests event`, the checksum over all that follows it, so that a line whose end was never written is
told from a whole one wherever it stands. What is added to a batch stands in a further line with the same id (`usage_batches`).

A file is appended to by one process, which holds a lock on it as long as it lives; a file without a lock is a dead process's, and
whoever locks it first may take it over. A file is removed when all of its batches are stored.

What was written outlives the process at once, and the machine from the next `sync` on, which the spool's owner calls once a second.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from hostler_router.usage_batches import Batch, with_parts

_READ_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Torn:
    """A line that is not whole.

    Attributes:
        size: Its bytes.
    """

    size: int


class Segment:
    """One file, open and locked.

    Attributes:
        path: Where it is.
        size: Its bytes.
        spoilt: A half line stands at its end, and what was written behind that would be no line either.
    """

    def __init__(self, path: Path, fd: int, size: int, *, adopted: bool) -> None:
        self.path = path
        self.size = size
        self._fd = fd
        self._batches: int | None = (
            None if adopted else 0
        )  # those of a file taken over are known when it was read
        self.spoilt = False
        self._settled: set[str] = set()
        self._dirty = False
        self._closed = False
        self._torn_told = False

    @classmethod
    def new(cls, path: Path) -> "Segment":
        """A file that did not exist.

        Raises:
            OSError: it can't be made; also `BlockingIOError` where another process took it over before it was locked.
        """
        flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
        return cls._locked(path, os.open(path, flags, 0o600), adopted=False)

    @classmethod
    def abandoned(cls, path: Path) -> "Segment | None":
        """A file that nobody holds any more; None where somebody does, or it is gone."""
        try:
            return cls._locked(path, os.open(path, os.O_APPEND | os.O_RDWR | os.O_CLOEXEC), adopted=True)
        except OSError:
            return None

    @classmethod
    def _locked(cls, path: Path, fd: int, *, adopted: bool) -> "Segment":
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            facts = os.fstat(fd)
            if not facts.st_nlink:
                raise FileNotFoundError(f"{path} was removed before it was locked")
        except OSError:
            os.close(fd)
            raise
        return cls(path, fd, facts.st_size, adopted=adopted)

    @property
    def done(self) -> bool:
        """Whether all that is in it is stored, as far as known."""
        return self._batches is not None and len(self._settled) >= self._batches

    def write(self, batches: list[Batch]) -> None:
        """Append batches, all of them or none; or parts of batches that are in it.

        Raises:
            OSError: none, because the disk can't take them.
        """
        if self.spoilt:
            raise OSError(errno.EIO, "a line before was not finished")
        data = memoryview(b"".join([line_of(batch) for batch in batches]))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            # Should this fail as well, the half line stays, and whoever reads it passes over it.
            self.spoilt = True
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
                self.spoilt = False
            raise
        self.size += written
        self._batches = (self._batches or 0) + sum(not batch.is_part for batch in batches)
        self._dirty = True

    def settle(self, msg_id: str) -> None:
        """A batch of it is stored, or given up."""
        self._settled.add(msg_id)

    def unsettled(self) -> Iterator[Batch | Torn]:
        """What is not stored yet, in the order in which it was begun, and once a sign for each line that is not whole.

        It ends when the file is removed meanwhile.
        """
        parts = self._parts()
        whole = 0
        for line in self._read():
            batch = batch_of(line)
            if isinstance(batch, Torn):
                if not self._torn_told:
                    yield batch
            elif not batch.is_part:
                whole += 1
                if batch.msg_id not in self._settled:
                    yield with_parts(batch, parts.get(batch.msg_id, ()))
        self._torn_told = True
        if self._batches is None:
            self._batches = whole

    def copy_to_sync(self) -> int | None:
        """A descriptor of it, to be synchronised and closed by the caller; None where nothing new was written."""
        if not self._dirty:
            return None
        self._dirty = False
        return os.dup(self._fd)

    def clear(self) -> None:
        """Begin it anew, all that is in it being stored.

        Raises:
            OSError: that does not work; it stays as it is.
        """
        os.ftruncate(self._fd, 0)
        self.size, self._batches = 0, 0
        self._settled.clear()

    def remove(self) -> None:
        """Take the file away, then let go of the lock."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the lock, for another process to take it over."""
        self._closed = True
        os.close(self._fd)

    def _parts(self) -> dict[str, list[Batch]]:
        """What was added to batches, by their ids: only journals have any, and those are small."""
        found: dict[str, list[Batch]] = {}
        for line in self._read():
            batch = batch_of(line)
            if isinstance(batch, Batch) and batch.is_part:
                found.setdefault(batch.msg_id, []).append(batch)
        return found

    def _read(self) -> Iterator[bytes]:
        """Every line with its end, and what comes after the last one; without moving where it is written."""
        at, rest = 0, b""
        while not self._closed and (block := os.pread(self._fd, _READ_BYTES, at)):
            at += len(block)
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield line + b"\n"
        if rest and not self._closed:
            yield rest


def line_of(batch: Batch) -> bytes:
    """The line that holds a batch; no part of one has a space or the end of a line in it but the event, and that no end of a line."""
    rest = b"%s %s %d %s" % (batch.subject.encode(), batch.msg_id.encode(), batch.requests, batch.data)
    return b"%08x %s\n" % (crc32(rest), rest)


def line_size(batch: Batch) -> int:
    """How long the line of a batch is, or a little less."""
    return len(batch.data) + len(batch.subject) + len(batch.msg_id) + 14


def batch_of(line: bytes) -> Batch | Torn:
    """The batch in a line, with or without its end."""
    checksum, _, rest = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % crc32(rest):
        return Torn(len(line))
    subject, msg_id, requests, data = rest.split(b" ", 3)
    return Batch(subject.decode(), msg_id.decode(), int(requests), data)
