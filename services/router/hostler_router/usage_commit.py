"""Every finished request into the USAGE stream, and the end of its answer held back until it is there, for a moment at most.

The inference path calls `commit` once per request; nothing of it waits, and no task is made. Requests that end while a batch is on its way
make up the next one, so that a busy router stores many at once and a quiet one stores each at once:

| the job's batches on the way | what happens to a request that ends |
| --- | --- |
| none | it leaves in this turn of the event loop, with all that ended in it |
| some | it waits until the last of them is answered, or for `batch_seconds`, whichever comes first |
| as many as there may be | it waits until one of them is answered, or late |

With a journal nothing of this is waited for: what ended in a turn of the loop is written to the journal's file at once, all in one, the answers
end, and the batches leave for the stream right after; there they are taken out of the journal when they are stored.

A batch that is not stored within the bound is kept in the backlog (`usage_backlog`), and its answers end. While NATS does not answer, batches
are kept there at once and nothing is held back for longer; `usage_reporting` has them stored later, and tells when it answers again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from hostler_bus.errors import BadSubject, BusUnavailable, MessageTooLarge
from hostler_bus.port import Appended, Bus
from hostler_contracts.usage_records import SoundRecord
from hostler_kit.logs import Logger
from hostler_router.usage_backlog import Backlog, Lost, Place
from hostler_router.usage_batches import Batch, BatchMaker
from hostler_router.usage_segments import Segment
from hostler_router.usage_spool import UsageSpool

Then = Callable[[], None]
Stored = Callable[[float], None]
"""Told of a batch that is in the stream, and for how many seconds it was on its way."""

_REQUESTS_PER_BATCH: Final = 500
_ON_THE_WAY_MAX: Final = 4
"""Per job; a server that writes each message through to its disk stores several at once quicker than one by one."""
_JOURNALLED_ON_THE_WAY_MAX: Final = 64
"""Per job; where the stream is so slow, the rest is sent later, some hundreds at once."""
_NEVER_HELD_BOUND_SECONDS: Final = 0.25
"""After which a batch that no answer waits for is kept in the backlog."""

NEVER: Final = (MessageTooLarge, BadSubject)
"""What is wrong with a batch itself; everything else passes, be it that an operator has to do something."""


@dataclass(slots=True)
class UsageFigures:
    """What happened to requests so far.

    Attributes:
        requests: How many ended.
        batches: In how many batches they were put.
        stored: How many are in the stream for certain.
        late: How many were not stored within the bound; their answers ended when they were kept.
        lost: How many are in no usage and never will be.
    """

    requests: int = 0
    batches: int = 0
    stored: int = 0
    late: int = 0
    lost: int = 0


@dataclass(slots=True)
class _Lane:
    """The requests of one job."""

    project: str
    job_id: str
    records: list[SoundRecord] = field(default_factory=list)
    thens: list[Then] = field(default_factory=list)
    since: float = 0.0
    on_the_way: int = 0


@dataclass(slots=True, eq=False)
class _Sent:
    """A batch on its way."""

    batch: Batch
    lane: _Lane
    thens: list[Then]
    future: asyncio.Future[Appended]
    at: float
    timer: asyncio.TimerHandle | None = None  # None from when it holds up nothing any more
    place: Place | None = None
    journalled: Segment | None = None


class UsageCommitter:
    """Takes finished requests; to be made within the event loop."""

    def __init__(
        self,
        bus: Bus,
        maker: BatchMaker,
        backlog: Backlog,
        *,
        commit_timeout_seconds: float,
        batch_seconds: float,
        figures: UsageFigures,
        stored: Stored,
        lost: Lost,
        logger: Logger,
        journal: UsageSpool | None = None,
    ) -> None:
        """Make one.

        Args:
            bus: Where the stream is.
            maker: Of batches.
            backlog: Where batches are kept that could not be stored in time.
            commit_timeout_seconds: The bound; 0 holds no answer back.
            batch_seconds: How long requests are collected while a batch of their job is on its way.
            figures: To be counted up.
            stored: Told of each batch that is stored.
            lost: Told of what can never be stored.
            logger: For everything it says.
            journal: Where batches are written before their answers end, which then wait for nothing else; None holds them back
                until the stream has them.
        """
        self._bus = bus
        self._journal = journal
        self._maker = maker
        self._backlog = backlog
        self._holds = commit_timeout_seconds > 0 or journal is not None
        self._bound_seconds = commit_timeout_seconds or _NEVER_HELD_BOUND_SECONDS
        self._batch_seconds = batch_seconds
        self._figures = figures
        self._stored = stored
        self._lost = lost
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._sent: set[_Sent] = set()
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._answering = True

    def commit(self, project: str, job_id: str, request: SoundRecord, then: Then) -> None:
        """A request has ended. `then` is called once: when it is stored, or when it is kept because it was not stored in time.

        With a bound of 0 that is before this returns, else never.
        """
        lane = self._lanes.get((project, job_id))
        if lane is None:
            lane = self._lanes[project, job_id] = _Lane(project, job_id)
        if not lane.records:
            lane.since = self._loop.time()
        lane.records.append(request)
        if self._holds:
            lane.thens.append(then)
        if self._soon is None:
            if (
                self._journal is not None
                or len(lane.records) >= _REQUESTS_PER_BATCH
                or (not lane.on_the_way and self._may_send())
            ):
                self._soon = self._loop.call_soon(self._send_ready)
            elif self._later is None:
                self._later = self._loop.call_later(self._batch_seconds, self._send_all)
        if not self._holds:
            then()

    @property
    def answering(self) -> bool:
        """Whether NATS answered last, as far as this knows."""
        return self._answering

    def heard(self) -> None:
        """NATS has stored something: no need to keep everything in the backlog any more."""
        self._answering = True

    async def finish(self, timeout_seconds: float) -> bool:
        """Send all that has gathered and wait for the answers; gives whether all of it is stored or kept."""
        until = self._loop.time() + timeout_seconds
        while True:
            self._cut(tuple(self._lanes.values()))
            open_ = [sent.future for sent in self._sent if sent.place is None]
            left = until - self._loop.time()
            if not open_ or left <= 0:
                return not open_
            await asyncio.wait(open_, timeout=left)
            await asyncio.sleep(0)  # what the answers lead to runs in this turn

    def keep_all(self) -> None:
        """Put everything that is not stored yet into the backlog; the process is about to end."""
        self._answering = False
        self._cut(tuple(self._lanes.values()), keeping=True)
        for sent in tuple(self._sent):
            if sent.place is None:
                self._overdue(sent)

    def _may_send(self) -> bool:
        """Whether a batch has a chance; with nothing in the backlog that would be tried again, only trying can tell."""
        return self._bus.connected and (self._answering or self._backlog.empty)

    def _send_ready(self) -> None:
        self._soon = None
        self._cut(
            tuple(
                lane
                for lane in self._lanes.values()
                if not lane.on_the_way
                or len(lane.records) >= _REQUESTS_PER_BATCH
                or self._journal is not None
            )
        )

    def _send_all(self) -> None:
        self._later = None
        self._cut(tuple(lane for lane in self._lanes.values() if lane.on_the_way < _ON_THE_WAY_MAX))

    def _cut(self, lanes: tuple[_Lane, ...], *, keeping: bool = False) -> None:
        """Make batches of what these lanes have gathered and send them, or keep them where sending makes no sense."""
        keeping = keeping or not self._may_send()
        kept: list[Batch] = []
        leaving: list[tuple[_Lane, Batch, list[Then]]] = []
        released: list[Then] = []
        for lane in lanes:
            if not lane.records:
                continue
            records, lane.records = lane.records, []
            thens, lane.thens = lane.thens, []
            self._figures.requests += len(records)
            for made in self._maker.make(lane.project, lane.job_id, records):
                count = made if isinstance(made, int) else made.requests
                some, thens = (thens, []) if count == len(thens) else (thens[:count], thens[count:])
                if isinstance(made, int):
                    self._lost(made, lane.job_id, "it can't be written")
                    released += some
                    continue
                self._figures.batches += 1
                if keeping or (self._journal is not None and lane.on_the_way >= _JOURNALLED_ON_THE_WAY_MAX):
                    kept.append(made)
                    released += some
                else:
                    leaving.append((lane, made, some))
        if kept:
            self._figures.late += sum(batch.requests for batch in kept)
            self._backlog.keep(kept)
        journalled = None
        if self._journal is not None and leaving:
            journalled = self._journal.keep([batch for _, batch, _ in leaving])
        if journalled is not None:
            released += [then for *_, thens in leaving for then in thens]
            leaving = [(lane, batch, []) for lane, batch, _ in leaving]
        self._release(released)
        for lane, batch, thens in leaving:
            self._send(lane, batch, thens, journalled)
        for lane in lanes:
            self._forget_if_idle(lane)

    def _send(self, lane: _Lane, batch: Batch, thens: list[Then], journalled: Segment | None) -> None:
        future = self._bus.append_soon(batch.subject, batch.data, msg_id=batch.msg_id)
        sent = _Sent(batch, lane, thens, future, self._loop.time(), journalled=journalled)
        sent.timer = self._loop.call_at(lane.since + self._bound_seconds, self._overdue, sent)
        lane.on_the_way += 1
        self._sent.add(sent)
        future.add_done_callback(partial(self._answered, sent))

    def _answered(self, sent: _Sent, future: asyncio.Future[Appended]) -> None:
        """What came back says that a batch is stored, or why not."""
        self._sent.discard(sent)
        error = BusUnavailable("it was given up") if future.cancelled() else future.exception()
        if error is None:
            self._answering = True
            self._figures.stored += sent.batch.requests
            self._stored(self._loop.time() - sent.at)
            self._settle(sent)
        elif isinstance(error, NEVER):
            self._lost(sent.batch.requests, sent.batch.subject, str(error))
            self._settle(sent)
        else:
            self._stopped_answering(str(error))
            if sent.place is None:
                self._keep(sent)
        self._leave(sent)

    def _keep(self, sent: _Sent) -> None:
        """It is not stored; the backlog has it from now on."""
        self._figures.late += sent.batch.requests
        sent.place = self._backlog.keep([sent.batch])
        if isinstance(sent.place, Segment):
            self._out_of_journal(sent)

    def _out_of_journal(self, sent: _Sent) -> None:
        if self._journal is not None and sent.journalled is not None:
            self._journal.settle(sent.journalled, sent.batch.msg_id)
            sent.journalled = None

    def _overdue(self, sent: _Sent) -> None:
        """The bound has passed. The batch may still be stored; if not, it is in the backlog."""
        self._stopped_answering("no answer within the bound")
        self._keep(sent)
        self._leave(sent)

    def _leave(self, sent: _Sent) -> None:
        """A batch holds up nothing any more: answers end, and what was gathered behind it goes."""
        if sent.timer is None:
            return  # it did so when it was overdue
        sent.timer.cancel()
        sent.timer = None
        thens, sent.thens = sent.thens, []
        self._release(thens)
        lane = sent.lane
        lane.on_the_way -= 1
        if not lane.records:
            self._forget_if_idle(lane)
        elif not lane.on_the_way or self._loop.time() - lane.since >= self._batch_seconds:
            self._cut((lane,))
        # Else a busy job's gather for longer: they go with the next answer, or when their time is over.

    def _settle(self, sent: _Sent) -> None:
        self._out_of_journal(sent)
        if sent.place is not None:
            self._backlog.settle(sent.place, sent.batch.msg_id)

    def _forget_if_idle(self, lane: _Lane) -> None:
        if not lane.on_the_way and not lane.records:
            self._lanes.pop((lane.project, lane.job_id), None)

    def _stopped_answering(self, reason: str) -> None:
        if self._answering:
            self._answering = False
            self._logger.warning("usage.kept", reason=reason)

    def _release(self, thens: list[Then]) -> None:
        for then in thens:
            try:
                then()
            except (
                Exception
            ):  # the outermost call of a request's end: one that fails must not keep the others from ending
                self._logger.exception("usage.release_failed")
