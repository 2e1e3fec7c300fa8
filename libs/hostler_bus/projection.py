"""What a service holds in memory of the log and of the catalogues, kept up to date by following them.

A projection starts from the last message of every subject, so what a start costs grows with the jobs and not with their
history, and then follows. Applying a message twice, or an older one after a newer, changes nothing: the sequence decides.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Generic, TypeVar

import structlog

from hostler_bus.job_log import JobEntry, entry_of
from hostler_bus.port import Bus, CaughtUp, Deleted, LastPerSubject, Message
from hostler_contracts import subjects
from hostler_contracts.catalogue import BadRecord, Codec
from hostler_contracts.codec import UndecodableEvent
from hostler_kit.logs import Logger

RecordT = TypeVar("RecordT")


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
                    stored[message.subject.rpartition(".")[0]] = message

    def _take(self, message: Message) -> bool:
        """Apply a message; gives whether it could be read."""
        self.seq = message.seq
        try:
            self.apply(entry_of(message))
        except UndecodableEvent as error:
            self._logger.warning(
                "event.undecodable", subject=message.subject, seq=message.seq, reason=str(error)
            )
            return False
        return True

    async def _take_stored(self, bus: Bus, latest: Message) -> None:
        """Apply the latest message of a job; where it can't be read, those of its history that can."""
        if self._take(latest):
            return
        job_subjects = latest.subject.rpartition(".")[0] + ".*"
        async for earlier in bus.history(subjects.JOBS, job_subjects):
            if earlier.seq < latest.seq:
                with suppress(UndecodableEvent):
                    self.apply(entry_of(earlier))


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
        self._own: dict[str, int] = {}
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
            self._revisions[key] = self._own[key] = revision
            self._records[key] = record
            self._tell(key)

    def remove(self, key: str) -> None:
        """Leave out what the caller has just taken away."""
        self._forget(key)
        self._tell(key)

    async def run(self, bus: Bus) -> None:
        """Watch the bucket until cancelled. A record that can't be read is logged and counts as absent."""
        async with bus.bucket(self._bucket).watch() as changes:
            async for change in changes:
                if isinstance(change, CaughtUp):
                    self.caught_up = True
                    self._tell("")
                    continue
                if isinstance(change, Deleted):
                    self._forget(change.key)
                elif change.revision < self._own.get(change.key, 0):
                    continue  # from before our own write, which is on its way here
                else:
                    self._own.pop(change.key, None)
                    self._revisions[change.key] = change.revision
                    try:
                        self._records[change.key] = self._codec.decode(change.value)
                    except BadRecord as error:
                        self._records.pop(change.key, None)
                        self._logger.warning(
                            "record.undecodable", bucket=self._bucket, key=change.key, reason=str(error)
                        )
                self._tell(change.key)

    def _forget(self, key: str) -> None:
        for known in (self._records, self._revisions, self._own):
            known.pop(key, None)

    def _tell(self, key: str) -> None:
        for callback in self._callbacks:
            callback(key)
