"""Every finished request into a journal, and the end of its answer held back until it is there; from there into the USAGE stream.

What ended in a turn of the event loop is written at once, a line for each job, and the answers end. The lines of a job make one batch,
which is sent when it is large enough or `gather_seconds` after it was begun, so that the stream gets few messages where answers wait for
none of them. A batch has its id and number from its first line on, so what a later process reads from the journal is what was sent, to
the byte. It leaves the journal when it is stored.

A journal that takes nothing (disk full, an error) lets the answers wait for the stream.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from hostler_contracts.usage_records import SoundRecord
from hostler_kit.logs import Logger
from hostler_router.usage_backlog import Lost
from hostler_router.usage_batches import BATCH_BYTES_MAX, Batch, BatchMaker, part_of, with_parts
from hostler_router.usage_segments import Segment
from hostler_router.usage_sending import Then, UsageFigures, UsageSender, release
from hostler_router.usage_spool import UsageSpool

_ON_THE_WAY_MAX: Final = 64
"""Per job; where the stream is so slow, the rest is sent later, some hundreds at once."""


@dataclass(slots=True)
class _Growing:
    """A batch that is in the journal and not sent yet."""

    first: Batch
    segment: Segment
    size: int
    parts: list[Batch] = field(default_factory=list)


@dataclass(slots=True)
class _Lane:
    """The requests of one job."""

    project: str
    job_id: str
    records: list[SoundRecord] = field(default_factory=list)
    thens: list[Then] = field(default_factory=list)
    growing: _Growing | None = None
    on_the_way: int = 0


class JournalCommitter:
    """Has answers wait for a journal; to be made within the event loop."""

    def __init__(
        self,
        sender: UsageSender,
        maker: BatchMaker,
        journal: UsageSpool,
        *,
        gather_seconds: float,
        figures: UsageFigures,
        lost: Lost,
        logger: Logger,
    ) -> None:
        """Make one.

        Args:
            sender: Takes batches to the stream.
            maker: Of batches.
            journal: Where requests are written before their answers end.
            gather_seconds: How long a batch may grow.
            figures: To be counted up.
            lost: Told of what can never be stored.
            logger: For everything it says.
        """
        self._sender = sender
        self._maker = maker
        self._journal = journal
        self._gather_seconds = gather_seconds
        self._figures = figures
        self._lost = lost
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._ended: list[_Lane] = []
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._keeping = False

    def commit(self, project: str, job_id: str, request: SoundRecord, then: Then) -> None:
        """A request has ended. `then` is called once, never before this returns: when it is in the journal, or stored, or kept."""
        lane = self._lanes.get((project, job_id))
        if lane is None:
            lane = self._lanes[project, job_id] = _Lane(project, job_id)
        if not lane.records:
            self._ended.append(lane)
        lane.records.append(request)
        lane.thens.append(then)
        if self._soon is None:
            self._soon = self._loop.call_soon(self._write)

    async def finish(self, timeout_seconds: float) -> bool:
        """Send all that has gathered and wait for the answers; gives whether all of it is stored or kept."""
        return await self._sender.finish(self._send_all, timeout_seconds)

    def keep_all(self) -> None:
        """Put everything that is not stored yet into the backlog; the process is about to end."""
        self._sender.expect_nothing()
        self._keeping = True
        self._send_all()
        self._keeping = False
        self._sender.keep_all()

    def _write(self) -> None:
        """Write down what ended in this turn, and let the answers end."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        ended, self._ended = self._ended, []
        for lane in ended:
            records, lane.records = lane.records, []
            thens, lane.thens = lane.thens, []
            self._figures.requests += len(records)
            if not self._grown(lane, records):
                self._send(lane)
                thens = self._begun(lane, records, thens)
            release(thens, self._logger)

    def _grown(self, lane: _Lane, records: list[SoundRecord]) -> bool:
        """Whether these were added to the job's batch, and are in the journal."""
        growing = lane.growing
        if growing is None:
            return False
        part = part_of(growing.first, records)
        if (
            part is None
            or growing.size + len(part.data) > BATCH_BYTES_MAX
            or not self._journal.add(growing.segment, part)
        ):
            return False
        growing.parts.append(part)
        growing.size += len(part.data)
        return True

    def _begun(self, lane: _Lane, records: list[SoundRecord], thens: list[Then]) -> list[Then]:
        """Begin a batch, or several where it would be too large; gives whose answers may end."""
        released: list[Then] = []
        for made in self._maker.make(lane.project, lane.job_id, records):
            count = made if isinstance(made, int) else made.requests
            some, thens = thens[:count], thens[count:]
            if isinstance(made, int):
                self._lost(made, lane.job_id, "it can't be written")
                released += some
                continue
            self._figures.batches += 1
            segment = self._journal.keep([made])
            if segment is None:
                self._leave(lane, made, None, some)
                continue
            released += some
            self._send(lane)
            lane.growing = _Growing(made, segment, len(made.data))
            if self._later is None:
                self._later = self._loop.call_later(self._gather_seconds, self._send_all)
        return released

    def _send_all(self) -> None:
        """Every batch has grown for long enough."""
        self._write()
        for lane in tuple(self._lanes.values()):
            self._send(lane)
            self._forget_if_idle(lane)
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _send(self, lane: _Lane) -> None:
        """The job's batch does not grow any more."""
        growing, lane.growing = lane.growing, None
        if growing is not None:
            self._leave(lane, with_parts(growing.first, growing.parts), growing.segment, [])

    def _leave(self, lane: _Lane, batch: Batch, journalled: Segment | None, thens: list[Then]) -> None:
        """Send a batch, or keep it where that makes no sense; these answers end when it is stored or kept."""
        if not self._keeping and self._sender.may_send and lane.on_the_way < _ON_THE_WAY_MAX:
            lane.on_the_way += 1
            left = partial(self._left, lane, thens)
            self._sender.send(batch, left, since=self._loop.time(), journalled=journalled)
            return
        place = self._sender.keep([batch])
        if journalled is not None and isinstance(place, Segment):
            self._journal.settle(journalled, batch.msg_id)
        release(thens, self._logger)

    def _left(self, lane: _Lane, thens: list[Then]) -> None:
        """A batch holds up nothing any more."""
        lane.on_the_way -= 1
        release(thens, self._logger)
        self._forget_if_idle(lane)

    def _forget_if_idle(self, lane: _Lane) -> None:
        if not lane.on_the_way and not lane.records and lane.growing is None:
            self._lanes.pop((lane.project, lane.job_id), None)
