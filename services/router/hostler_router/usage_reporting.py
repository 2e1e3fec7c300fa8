"""Usage put together: what commits finished requests, what is kept of those that could not be stored, and their way into the stream later.

The service makes one with `usage_reporter`, in the process that serves and not before a fork, gives `committer.commit` to whoever finishes requests, runs `run` beside the rest and calls `publish` and
`close` at its end. What was kept by this process or by a dead one is sent again each period as long as the server stores it, oldest first, to the
byte and under the id that it has, so that the stream or its readers know what they have already.
"""

import asyncio
import os
import re
from itertools import islice
from typing import Final, Protocol

from hostler_bus.port import Bus
from hostler_kit.clock import Clock
from hostler_kit.ids import new_id
from hostler_kit.logs import Logger
from hostler_router.settings import RouterSettings, UsageCommit
from hostler_router.usage_backlog import Backlog, Place
from hostler_router.usage_batches import Batch, BatchMaker
from hostler_router.usage_commit import Committer, StreamCommitter
from hostler_router.usage_journal import JournalCommitter
from hostler_router.usage_sending import NEVER, UsageFigures, UsageSender
from hostler_router.usage_spool import UsageSpool

_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]")
"""What the name of a file had better not have."""
_AT_ONCE: Final = 32
_FINISH_SECONDS: Final = 5.0
_ADOPT_PERIODS: Final = 30
"""How many periods lie between two looks for what dead processes have left."""


class UsageCounter(Protocol):
    """Counts what becomes of usage."""

    def usage_lost(self, count: int) -> None:
        """So many finished requests could not be stored."""
        ...

    def usage_spooled(self, count: int) -> None:
        """So many were written to a file, to be stored later."""
        ...

    def usage_committed(self, seconds: float) -> None:
        """A batch was stored, after so long."""
        ...


def usage_reporter(
    bus: Bus,
    settings: RouterSettings,
    *,
    name: str,
    clock: Clock,
    metrics: UsageCounter,
    logger: Logger,
) -> "UsageReporter":
    """A reporter with a spool, as the settings have them.

    Raises:
        SpoolUnusable: the spool's folder can't be used.
    """
    writer = f"{_UNFIT.sub('_', name)}-{os.getpid()}-{new_id()}"
    spool = UsageSpool(
        settings.usage_spool_folder,
        writer=writer,
        bytes_max=settings.usage_spool_bytes_max,
        now=lambda: clock.now().timestamp(),
        logger=logger,
    )
    journal = None
    if settings.usage_commit is UsageCommit.JOURNAL:
        journal = UsageSpool(
            settings.usage_spool_folder,
            writer=f"{writer}-journal",
            bytes_max=settings.usage_spool_bytes_max,
            now=lambda: clock.now().timestamp(),
            logger=logger,
            journal=True,
        )
    return UsageReporter(
        bus,
        name=name,
        period_seconds=settings.usage_period_seconds,
        clock=clock,
        metrics=metrics,
        logger=logger,
        writer=writer,
        spool=spool,
        journal=journal,
        commit_timeout_seconds=settings.usage_commit_timeout_seconds,
        batch_seconds=settings.usage_batch_seconds,
        journal_gather_seconds=settings.usage_journal_gather_seconds,
    )


class UsageReporter:
    """Everything about usage in one router process; to be made within the event loop.

    Attributes:
        committer: Takes finished requests.
        figures: What happened to them.
        backlog: What is kept.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        name: str,
        period_seconds: float,
        clock: Clock,
        metrics: UsageCounter,
        logger: Logger,
        writer: str = "",
        spool: UsageSpool | None = None,
        journal: UsageSpool | None = None,
        commit_timeout_seconds: float = 0.25,
        batch_seconds: float = 0.002,
        journal_gather_seconds: float = 0.1,
    ) -> None:
        """Make one.

        Args:
            bus: Where the stream is.
            name: Of this router.
            period_seconds: How often what is kept is sent again.
            clock: The time.
            metrics: Counts what is stored, kept and lost.
            logger: For everything it says.
            writer: Name of this life of this process, the spool's; a new one where it is empty.
            spool: Where batches are kept; in memory alone where it is None.
            journal: Where batches are written before their answers end; None has the answers wait for the stream.
            commit_timeout_seconds: How long an answer may be held back; 0 for not at all.
            batch_seconds: How long requests are collected while a batch is on its way.
            journal_gather_seconds: How long requests are collected in the journal before they are sent.
        """
        self._period_seconds = period_seconds
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._logger = logger
        self._again = asyncio.Lock()
        self._journal = journal
        self.figures = UsageFigures()
        self.backlog = Backlog(spool, self._lost, metrics.usage_spooled)
        self._sender = UsageSender(
            bus,
            self.backlog,
            bound_seconds=commit_timeout_seconds,
            figures=self.figures,
            stored=metrics.usage_committed,
            lost=self._lost,
            logger=logger,
            journal=journal,
        )
        maker = BatchMaker(router=name, writer=writer or new_id(), new_id=new_id, now=clock.now)
        self.committer: Committer
        if journal is None:
            self.committer = StreamCommitter(
                self._sender,
                maker,
                holds=commit_timeout_seconds > 0,
                batch_seconds=batch_seconds,
                figures=self.figures,
                lost=self._lost,
                logger=logger,
            )
        else:
            self.committer = JournalCommitter(
                self._sender,
                maker,
                journal,
                gather_seconds=journal_gather_seconds,
                figures=self.figures,
                lost=self._lost,
                logger=logger,
            )

    async def run(self) -> None:
        """Look after what is kept each period, until cancelled."""
        periods = 0
        while True:
            if periods % _ADOPT_PERIODS == 0:
                self.backlog.adopt()
            periods += 1
            await self._send_again()
            await self._synchronise()
            await self._clock.sleep(self._period_seconds)

    async def publish(self) -> None:
        """Have all that ended so far stored, and what is kept as well as far as that works; what is not stays kept."""
        await self._finish()
        await self._send_again()

    async def close(self) -> None:
        """Store or keep everything, and let go of the files; nothing may end any more."""
        await self._finish()
        if self._sender.answering:  # else the process that comes next takes the files over
            await self._send_again()
        await self._synchronise()
        self.backlog.close()
        if self._journal is not None:
            self._journal.close()

    async def _finish(self) -> None:
        if not await self.committer.finish(_FINISH_SECONDS):
            self.committer.keep_all()

    async def _send_again(self) -> None:
        """Have stored what is kept, until something is not."""
        async with self._again:
            if self.backlog.empty or not self._bus.connected:
                return
            requests, at_once, waiting = 0, 1, self.backlog.waiting()
            while some := list(islice(waiting, at_once)):
                futures = [
                    self._bus.append_soon(batch.subject, batch.data, msg_id=batch.msg_id) for _, batch in some
                ]
                await asyncio.wait(futures)
                settled = [
                    self._settled(place, batch, future.exception())
                    for (place, batch), future in zip(some, futures, strict=True)
                ]
                requests += sum(
                    batch.requests for (_, batch), done in zip(some, settled, strict=True) if done
                )
                if not all(settled):
                    break
                at_once = _AT_ONCE  # the first one has shown that it makes sense
            if requests:
                self._logger.info("usage.sent_again", requests=requests)

    def _settled(self, place: Place, batch: Batch, error: BaseException | None) -> bool:
        """Whether a batch that was sent again needs no more trying."""
        if error is None:
            self.figures.stored += batch.requests
            self._sender.heard()
        elif isinstance(error, NEVER):
            self._lost(batch.requests, batch.subject, str(error))
        else:
            self._logger.debug("usage.waits", subject=batch.subject, reason=str(error))
            return False
        self.backlog.settle(place, batch.msg_id)
        return True

    async def _synchronise(self) -> None:
        try:
            await self.backlog.synchronise(*(() if self._journal is None else self._journal.to_sync()))
        except OSError as error:
            self._logger.error("usage.spool_not_synchronised", reason=str(error))  # noqa: TRY400  # it says it all

    def _lost(self, requests: int, subject: str, reason: str) -> None:
        self.figures.lost += requests
        self._metrics.usage_lost(requests)
        self._logger.error("usage.lost", subject=subject, requests=requests, reason=reason)
