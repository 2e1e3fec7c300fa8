"""Batches of usage that could not be stored in time, kept on the local disk until they are.

`usage_backlog` puts them aside here and has them stored again, oldest file first, under the ids that they have. What `keep` has taken
outlives `kill -9` of the process at any moment. Each process writes files of its own; those of a dead one are taken over by whoever
comes first (`adopt`). To be made after a fork, or two processes would hold one lock.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from hostler_domain.errors import PermanentError
from hostler_kit.logs import Logger
from hostler_router.usage_batches import Batch
from hostler_router.usage_segments import Segment, line_size

_SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""After which a new file is begun, so that disk is given back while the rest is still being stored."""
SUFFIX: Final = ".usage"
_JOURNAL_SEGMENT_BYTES: Final = 1024 * 1024
"""As the end of a dead process's journal is sent again, though nearly all of it is stored."""
_JOURNAL_CLEAR_BYTES: Final = 256 * 1024


class SpoolUnusable(PermanentError):
    """The folder can't be used; the message says why."""


class UsageSpool:
    """The files of this process, and those that it took over."""

    def __init__(
        self,
        folder: Path,
        *,
        writer: str,
        bytes_max: int,
        now: Callable[[], float],
        logger: Logger,
        journal: bool = False,
        segment_bytes: int | None = None,
    ) -> None:
        """Use a folder, which is made if it is missing.

        Args:
            folder: Which one.
            writer: Name of this life of this process, unique, fit for a file's name.
            bytes_max: How much all files of this process may hold together.
            now: The time of day in seconds; files sort by it.
            logger: For everything that happens to them.
            journal: Everything passes through, for a moment; a file in which nothing is left is used again, as a new one for
                each batch would cost more than the batch.
            segment_bytes: After which a new file is begun; as suits its kind where it is None.

        Raises:
            SpoolUnusable: it is not ours alone, or can't be written to.
        """
        self._folder = folder
        self._writer = writer
        self._bytes_max = bytes_max
        self._now = now
        self._logger = logger
        self._journal = journal
        self._segment_bytes = segment_bytes or (_JOURNAL_SEGMENT_BYTES if journal else _SEGMENT_BYTES)
        self._numbers = count(1)
        self._segments: list[Segment] = []
        self._current: Segment | None = None
        _make_private(folder)

    @property
    def bytes(self) -> int:
        """How much is kept."""
        return sum(segment.size for segment in self._segments)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The files, oldest first."""
        return tuple(self._segments)

    def keep(self, batches: list[Batch]) -> Segment | None:
        """Write batches down; gives where they are, None where none of them is, and why that is so is logged."""
        size = sum(line_size(batch) for batch in batches)
        if self._full(size):
            return None
        try:
            segment = self._writable(size)
            segment.write(batches)
        except OSError as error:
            self._failed(error)
            return None
        return segment

    def add(self, segment: Segment, part: Batch) -> bool:
        """Write down what was added to a batch, in the file where that is; gives whether it is there, and why not is logged."""
        if self._full(line_size(part)):
            return False
        try:
            segment.write([part])
        except OSError as error:
            self._failed(error)
            return False
        return True

    def settle(self, segment: Segment, msg_id: str) -> None:
        """A batch in this file is stored, or given up; the file goes with its last one."""
        segment.settle(msg_id)
        self.drop_if_done(segment)

    def drop_if_done(self, segment: Segment) -> None:
        """Remove a file in which nothing is left to be stored."""
        if segment.done and segment in self._segments:
            if self._journal and segment is self._current:
                if segment.size > _JOURNAL_CLEAR_BYTES:
                    with suppress(OSError):  # then it is full some day, and goes
                        segment.clear()
                return
            self._segments.remove(segment)
            if segment is self._current:
                self._current = None
            segment.remove()

    def adopt(self) -> int:
        """Take over what dead processes have left; gives how many files."""
        held = {segment.path for segment in self._segments}
        found = (
            Segment.abandoned(path) for path in sorted(self._folder.glob(f"*{SUFFIX}")) if path not in held
        )
        adopted = [segment for segment in found if segment is not None]
        for segment in adopted:
            self._logger.warning("usage.spool_adopted", file=segment.path.name, bytes=segment.size)
        self._segments = sorted((*self._segments, *adopted), key=lambda segment: segment.path.name)
        return len(adopted)

    def to_sync(self) -> list[int]:
        """Descriptors of what was written since the last time, to be given to `synchronise`."""
        copies = (segment.copy_to_sync() for segment in self._segments)
        return [copy for copy in copies if copy is not None]

    def close(self) -> None:
        """Let go of all files, for others to take over; where nothing is left in one, it goes."""
        for segment in self._segments:
            if segment.done:
                segment.remove()
            else:
                segment.close()
        self._segments, self._current = [], None

    def _full(self, size: int) -> bool:
        full = self.bytes + size > self._bytes_max
        if full:
            self._logger.error("usage.spool_full", bytes=self.bytes, bytes_max=self._bytes_max)
        return full

    def _failed(self, error: OSError) -> None:
        self._logger.error("usage.spool_failed", reason=str(error))

    def _writable(self, size: int) -> Segment:
        current = self._current
        full = current is not None and current.size and current.size + size > self._segment_bytes
        if current is None or current.spoilt or full:
            name = f"{int(self._now() * 1000):014d}-{self._writer}-{next(self._numbers):06d}{SUFFIX}"
            before, current = current, Segment.new(self._folder / name)
            self._current = current
            self._segments.append(current)
            if before is not None:
                self.drop_if_done(before)  # nothing else will ask again
        return current


def synchronise(descriptors: list[int]) -> None:
    """Bring what was written to the disk itself, and close the descriptors; slow, so not for the event loop.

    Raises:
        OSError: the disk did not take it.
    """
    try:
        for descriptor in descriptors:
            os.fdatasync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as error:
        raise SpoolUnusable(f"{folder} can't be made: {error.strerror}") from error
    if facts.st_uid != os.getuid() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SpoolUnusable(f"{folder} belongs to somebody else, or can't be written to")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        folder.chmod(0o700)
