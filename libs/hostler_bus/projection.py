"""What a service holds in memory of the log and of the catalogues, kept up to date by following them.

A projection starts from the last message of every subject, so what a start costs grows with the jobs and not with their
history, and then follows. Applying a message twice, or an older one after a newer, changes nothing: the sequence decides.

Following promises everything. `resync` does not rely on it: it lists what is stored and mends what the projection has missed, for a bug of
ours, of the client library or of the server that nobody knows yet. `resync.keep_in_step` calls it on a timer.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Generic, TypeVar

import structlog

from hostler_bus.job_log import JobEntry, entry_of
from hostler_bus.port import Bus, CaughtUp, Entry, LastPerSubject, Message
from hostler_bus.reading import entries_now, listed
from hostler_contracts import subjects
from hostler_contracts.catalogue import BadRecord, Codec
from hostler_contracts.codec import UndecodableEvent
from hostler_kit.logs import Logger

RecordT = TypeVar("RecordT")

Grace = Callable[[], Awaitable[None]]
"""Waited for between a look at what is stored and its repair: what was on its way comes by itself, and was not missed."""


class JobProjection:
    """Every job as of the latest message about it.

    Attributes:
        jobs: By job id, tombstones included.
        caught_up: Whether everything that was stored when the projection started has been applied.
        seq: Sequence of the latest message that was applied.
    """

    def __init__(self, logger: Logger | None = None) -> None:
        self._jobs: dict[str, JobEntry] = {}
        self._callbacks: list[Callable[[JobEntry], None]] = []
        self._on_caught_up: list[Callable[[], None]] = []
        self._logger: Logger = logger or structlog.get_logger()
        self._unreadable: dict[str, int] = {}
        self.jobs: Mapping[str, JobEntry] = MappingProxyType(self._jobs)
        self.caught_up = False
        self.seq = 0

    def get(self, job_id: str) -> JobEntry | None:
        """The job with this id, if it is known."""
        return self._jobs.get(job_id)

    def on_change(self, callback: Callable[[JobEntry], None]) -> None:
        """Call `callback` with every entry that was applied."""
        self._callbacks.append(callback)

    def on_caught_up(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the projection has caught up."""
        self._on_caught_up.append(callback)

    def apply(self, entry: JobEntry) -> bool:
        """Take in an entry unless one as new is there; gives whether anything changed.

        A writer calls this with what it has just appended, and so reads its own writes without waiting for them to come round.
        """
        known = self._jobs.get(entry.job.job_id)
        if known is not None and known.seq >= entry.seq:
            return False
        self._jobs[entry.job.job_id] = entry
        for callback in self._callbacks:
            callback(entry)
        return True

    async def run(self, bus: Bus) -> None:
        """Follow the log until cancelled. A message that can't be read is logged and passed over.

        What is stored at the start comes as one message per kind of event; of each job only the latest says how it stands, so
        the others are not even decoded.
        """
        stored: dict[str, Message] = {}
        async with bus.follow(subjects.JOBS, subjects.JOBS_SUBJECTS, start=LastPerSubject()) as messages:
            async for message in messages:
                if isinstance(message, CaughtUp):
                    for latest in sorted(stored.values(), key=lambda each: each.seq):
                        await self._take_stored(bus, latest)
                    stored.clear()
                    self.caught_up = True
                    for callback in self._on_caught_up:
                        callback()
                elif self.caught_up:
                    self._take(message)
                else:
                    stored[_job_subject(message)] = message

    async def resync(self, bus: Bus, grace: Grace) -> int:
        """List the log's last message about every job and apply what was missed; gives for how many jobs it was.

        Raises:
            BusUnavailable: the list could not be read to its end.
        """
        missed: dict[str, Message] = {}
        async for message in listed(bus, subjects.JOBS, subjects.JOBS_SUBJECTS):
            if message.seq > self._seen(message):
                missed[_job_subject(message)] = message
        if missed:
            await grace()
        repaired = 0
        for message in missed.values():
            seen = self._seen(message)
            if message.seq > seen:
                self._logger.warning(
                    "projection.missed", subject=message.subject, seq=message.seq, known_seq=seen
                )
                await self._take_stored(bus, message)
                repaired += 1
        return repaired

    def _seen(self, message: Message) -> int:
        """Sequence of the latest message that came about the same job, whether it could be read or not."""
        job_id = _job_id(message)
        known = self._jobs.get(job_id)
        return max(known.seq if known else 0, self._unreadable.get(job_id, 0))

    def _take(self, message: Message) -> bool:
        """Apply a message; gives whether it could be read."""
        self.seq = max(self.seq, message.seq)
        try:
            self.apply(entry_of(message))
        except UndecodableEvent as error:
            self._unreadable[_job_id(message)] = message.seq
            self._logger.warning(
                "event.undecodable", subject=message.subject, seq=message.seq, reason=str(error)
            )
            return False
        return True

    async def _take_stored(self, bus: Bus, latest: Message) -> None:
        """Apply the latest message of a job; where it can't be read, those of its history that can."""
        if self._take(latest):
            return
        job_subjects = f"{_job_subject(latest)}.*"
        async for earlier in bus.history(subjects.JOBS, job_subjects):
            if earlier.seq < latest.seq:
                with suppress(UndecodableEvent):
                    self.apply(entry_of(earlier))


def _job_subject(message: Message) -> str:
    """What all subjects of a job begin with."""
    return message.subject.rpartition(".")[0]


def _job_id(message: Message) -> str:
    return _job_subject(message).rpartition(".")[2]


class CatalogueProjection(Generic[RecordT]):
    """A bucket of records, held in memory by watching it.

    Attributes:
        records: By key.
        caught_up: Whether everything that was in the bucket at the start has been read.
    """

    def __init__(self, bucket: str, codec: Codec[RecordT], logger: Logger | None = None) -> None:
        self._bucket = bucket
        self._codec = codec
        self._records: dict[str, RecordT] = {}
        self._revisions: dict[str, int] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._logger: Logger = logger or structlog.get_logger()
        self.records: Mapping[str, RecordT] = MappingProxyType(self._records)
        self.caught_up = False

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with the key of every record that came, changed or went, and with "" when it has caught up."""
        self._callbacks.append(callback)

    def apply(self, key: str, record: RecordT, revision: int) -> None:
        """Take in what the caller has just written, unless something as new is there; so it reads its own writes at once."""
        if self._revisions.get(key, 0) < revision:
            self._revisions[key] = revision
            self._records[key] = record
            self._tell(key)

    def remove(self, key: str) -> None:
        """Leave out what the caller has just taken away."""
        self._drop(key)

    async def run(self, bus: Bus) -> None:
        """Watch the bucket until cancelled. A record that can't be read is logged and counts as absent."""
        async with bus.bucket(self._bucket).watch() as changes:
            async for change in changes:
                if isinstance(change, CaughtUp):
                    self.caught_up = True
                    self._tell("")
                elif isinstance(change, Entry):
                    self._put(change)
                elif change.revision == 0 or change.revision > self._revisions.get(change.key, 0):
                    self._drop(change.key)

    async def resync(self, bus: Bus, grace: Grace) -> int:
        """List the bucket and mend what is not as it is there; gives how many records were not.

        Raises:
            BusUnavailable: the list could not be read to its end.
        """
        bucket = bus.bucket(self._bucket)
        before = dict(self._revisions)
        stored = await entries_now(bucket)
        missed = [entry for entry in stored.values() if self._is_news(entry)]
        gone = before.keys() - stored.keys()
        if missed or gone:
            await grace()
        repaired = sum(self._put(entry) for entry in missed)
        for key in gone:
            # It may have come back while the list was read: the key itself is asked last.
            if await bucket.get(key) is None and self._revisions.get(key) == before[key]:
                self._drop(key)
                repaired += 1
        if repaired:
            self._logger.warning("projection.missed", bucket=self._bucket, records=repaired)
        return repaired

    def _is_news(self, entry: Entry) -> bool:
        return entry.revision > self._revisions.get(entry.key, 0)

    def _put(self, entry: Entry) -> bool:
        """Take in a record unless one as new is there; gives whether it was news."""
        if not self._is_news(entry):
            return False
        self._revisions[entry.key] = entry.revision
        try:
            self._records[entry.key] = self._codec.decode(entry.value)
        except BadRecord as error:
            self._records.pop(entry.key, None)
            self._logger.warning("record.undecodable", bucket=self._bucket, key=entry.key, reason=str(error))
        self._tell(entry.key)
        return True

    def _drop(self, key: str) -> None:
        self._revisions.pop(key, None)
        self._records.pop(key, None)
        self._tell(key)

    def _tell(self, key: str) -> None:
        for callback in self._callbacks:
            callback(key)
