"""Every finished request into the USAGE stream, and the end of its answer held back until it is there, for a moment at most.

The inference path calls `commit` once per request; nothing of it waits, and no task is made. Requests that end while a batch is on its way
make up the next one, so that a busy router stores many at once and a quiet one stores each at once:

| the job's batches on the way | what happens to a request that ends |
| --- | --- |
| none | it leaves in this turn of the event loop, with all that ended in it |
| some | it waits until the last of them is answered, or for `batch_seconds`, whichever comes first |
| as many as there may be | it waits until one of them is answered, or late |

A batch that is not stored within the bound is kept in the backlog, and its answers end (`usage_sending`). Where answers wait for a journal
instead, `usage_journal` is in the place of this.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from hostler_contracts.usage_records import SoundRecord
from hostler_kit.logs import Logger
from hostler_router.usage_backlog import Lost
from hostler_router.usage_batches import Batch, BatchMaker
from hostler_router.usage_sending import Then, UsageFigures, UsageSender, release

_REQUESTS_PER_BATCH: Final = 500
_ON_THE_WAY_MAX: Final = 4
"""Per job; a server that writes each message through to its disk stores several at once quicker than one by one."""


class Committer(Protocol):
    """What takes finished requests."""

    def commit(self, project: str, job_id: str, request: SoundRecord, then: Then) -> None:
        """A request has ended. `then` is called once: when its usage is safe, as far as answers wait for that."""
        ...

    async def finish(self, timeout_seconds: float) -> bool:
        """Send all that has gathered and wait for the answers; gives whether all of it is stored or kept."""
        ...

    def keep_all(self) -> None:
        """Put everything that is not stored yet into the backlog; the process is about to end."""
        ...


@dataclass(slots=True)
class _Lane:
    """The requests of one job."""

    project: str
    job_id: str
    records: list[SoundRecord] = field(default_factory=list)
    thens: list[Then] = field(default_factory=list)
    since: float = 0.0
    on_the_way: int = 0


class StreamCommitter:
    """Has answers wait for the stream; to be made within the event loop."""

    def __init__(
        self,
        sender: UsageSender,
        maker: BatchMaker,
        *,
        holds: bool,
        batch_seconds: float,
        figures: UsageFigures,
        lost: Lost,
        logger: Logger,
    ) -> None:
        """Make one.

        Args:
            sender: Takes batches to the stream.
            maker: Of batches.
            holds: Answers wait; else each ends at once.
            batch_seconds: How long requests are collected while a batch of their job is on its way.
            figures: To be counted up.
            lost: Told of what can never be stored.
            logger: For everything it says.
        """
        self._sender = sender
        self._maker = maker
        self._holds = holds
        self._batch_seconds = batch_seconds
        self._figures = figures
        self._lost = lost
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None

    def commit(self, project: str, job_id: str, request: SoundRecord, then: Then) -> None:
        """A request has ended. `then` is called once: when it is stored, or when it is kept because it was not stored in time.

        Where answers don't wait that is before this returns, else never.
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
            if len(lane.records) >= _REQUESTS_PER_BATCH or (not lane.on_the_way and self._sender.may_send):
                self._soon = self._loop.call_soon(self._send_ready)
            elif self._later is None:
                self._later = self._loop.call_later(self._batch_seconds, self._send_all)
        if not self._holds:
            then()

    async def finish(self, timeout_seconds: float) -> bool:
        """Send all that has gathered and wait for the answers; gives whether all of it is stored or kept."""
        return await self._sender.finish(self._send_rest, timeout_seconds)

    def keep_all(self) -> None:
        """Put everything that is not stored yet into the backlog; the process is about to end."""
        self._sender.expect_nothing()
        self._cut(tuple(self._lanes.values()), keeping=True)
        self._sender.keep_all()

    def _send_rest(self) -> None:
        self._cut(tuple(self._lanes.values()))

    def _send_ready(self) -> None:
        self._soon = None
        self._cut(
            tuple(
                lane
                for lane in self._lanes.values()
                if not lane.on_the_way or len(lane.records) >= _REQUESTS_PER_BATCH
            )
        )

    def _send_all(self) -> None:
        self._later = None
        self._cut(tuple(lane for lane in self._lanes.values() if lane.on_the_way < _ON_THE_WAY_MAX))

    def _cut(self, lanes: tuple[_Lane, ...], *, keeping: bool = False) -> None:
        """Make batches of what these lanes have gathered and send them, or keep them where sending makes no sense."""
        keeping = keeping or not self._sender.may_send
        kept: list[Batch] = []
        leaving: list[tuple[_Lane, Batch, list[Then], float]] = []
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
                if keeping:
                    kept.append(made)
                    released += some
                else:
                    leaving.append((lane, made, some, lane.since))
        if kept:
            self._sender.keep(kept)
        release(released, self._logger)
        for lane, batch, thens, since in leaving:
            lane.on_the_way += 1
            self._sender.send(batch, partial(self._left, lane, thens), since=since)
        for lane in lanes:
            self._forget_if_idle(lane)

    def _left(self, lane: _Lane, thens: list[Then]) -> None:
        """A batch holds up nothing any more: answers end, and what was gathered behind it goes."""
        release(thens, self._logger)
        lane.on_the_way -= 1
        if not lane.records:
            self._forget_if_idle(lane)
        elif not lane.on_the_way or self._loop.time() - lane.since >= self._batch_seconds:
            self._cut((lane,))
        # Else a busy job's gather for longer: they go with the next answer, or when their time is over.

    def _forget_if_idle(self, lane: _Lane) -> None:
        if not lane.on_the_way and not lane.records:
            self._lanes.pop((lane.project, lane.job_id), None)
