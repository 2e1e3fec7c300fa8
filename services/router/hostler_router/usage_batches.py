"""Finished requests put into batches, each the bytes of one message under an id that never changes again.

The committers make them. A batch is what is stored, put aside, and sent again, always to the byte, and its number is what readers
tell a repeat by.

A journal is written while a batch still grows: its first line is the batch as it began, and each further one holds what was added, a
*part*. What they make together is decided by the bytes alone, so that whoever reads the journal makes the same of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hostler_contracts import subjects
from hostler_contracts.usage_records import AFTER_RECORDS, SoundRecord, encode_batch, encode_records

BATCH_BYTES_MAX: Final = 512 * 1024
"""Of one message; half of the largest that a server takes by default."""
_PART_BEGINS: Final = b","


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

    @property
    def is_part(self) -> bool:
        """Whether it is what was added to a batch."""
        return self.data.startswith(_PART_BEGINS)


def with_parts(batch: Batch, parts: Sequence[Batch]) -> Batch:
    """A batch as it was when these had been added."""
    if not parts:
        return batch
    requests = batch.requests + sum(part.requests for part in parts)
    at = batch.data.rindex(AFTER_RECORDS)
    data = b"".join((batch.data[:at], *(part.data for part in parts), batch.data[at:]))
    return Batch(batch.subject, batch.msg_id, requests, data)


def part_of(batch: Batch, records: list[SoundRecord]) -> Batch | None:
    """What adds these records to a batch; None where one of them can't be written at all."""
    try:
        data = encode_records(records)
    except (UnicodeEncodeError, OverflowError):
        return None
    return Batch(batch.subject, batch.msg_id, len(records), _PART_BEGINS + data)


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
        if data and (len(data) <= BATCH_BYTES_MAX or len(records) == 1):
            self._made += 1
            yield Batch(subjects.usage(project, job_id), msg_id, len(records), data)
        elif len(records) == 1:
            yield 1
        else:
            middle = len(records) // 2
            yield from self.make(project, job_id, records[:middle])
            yield from self.make(project, job_id, records[middle:])
