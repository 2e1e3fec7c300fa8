"""Finished requests put into batches, each the bytes of one message under an id that never changes again.

`usage_commit` makes them. A batch is what is stored, put aside, and sent again, always to the byte, and its number is what readers
tell a repeat by.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hostler_contracts import subjects
from hostler_contracts.usage_records import SoundRecord, encode_batch

_BYTES_MAX: Final = 512 * 1024
"""Of one message; half of the largest that a server takes by default."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests for one job, as they are stored.

    Attributes:
        subject: Under which.
        msg_id: By which the stream knows it; also the event's id.
        requests: How many.
        data: The event.
    """

    subject: str
    msg_id: str
    requests: int
    data: bytes


class BatchMaker:
    """Makes the batches of one life of one router process, numbered from 1."""

    def __init__(
        self, *, router: str, writer: str, new_id: Callable[[], str], now: Callable[[], datetime]
    ) -> None:
        self._router = router
        self._writer = writer
        self._new_id = new_id
        self._now = now
        self._made = 0

    def make(self, project: str, job_id: str, records: list[SoundRecord]) -> Iterator[Batch | int]:
        """Batches that hold all of the records; as a number, how many of them can't be written at all."""
        msg_id = self._new_id()
        try:
            data = encode_batch(
                records,
                event_id=msg_id,
                router=self._router,
                project=project,
                job_id=job_id,
                writer=self._writer,
                number=self._made + 1,
                time=self._now(),
            )
        except (UnicodeEncodeError, OverflowError):  # by what a client or a replica wrote into one of them
            data = b""
        if data and (len(data) <= _BYTES_MAX or len(records) == 1):
            self._made += 1
            yield Batch(subjects.usage(project, job_id), msg_id, len(records), data)
        elif len(records) == 1:
            yield 1
        else:
            middle = len(records) // 2
            yield from self.make(project, job_id, records[:middle])
            yield from self.make(project, job_id, records[middle:])
