"""Batches on their way into the USAGE stream: how long each may hold something up, and what becomes of it.

The committers give batches to `send`. One that is not stored within the bound, or that fails, is kept in the backlog (`usage_backlog`), and
holds up nothing any more. While NATS does not answer, committers keep batches there at once; `usage_reporting` has them
stored later, and tells when it answers again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from hostler_bus.errors import BadSubject, BusUnavailable, MessageTooLarge
from hostler_bus.port import Appended, Bus
from hostler_kit.logs import Logger
from hostler_router.usage_backlog import Backlog, Lost, Place
from hostler_router.usage_batches import Batch
from hostler_router.usage_segments import Segment
from hostler_router.usage_spool import UsageSpool

Then = Callable[[], None]
Stored = Callable[[float], None]
"""Told of a batch that is in the stream, and for how many seconds it was on its way."""

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


@dataclass(slots=True, eq=False)
class _Sent:
    """A batch on its way."""

    batch: Batch
    left: Then
    future: asyncio.Future[Appended]
    at: float
    timer: asyncio.TimerHandle | None = None  # None from when it holds up nothing any more
    place: Place | None = None
    journalled: Segment | None = None


class UsageSender:
    """Sends batches and follows them; to be made within the event loop."""

    def __init__(
        self,
        bus: Bus,
        backlog: Backlog,
        *,
        bound_seconds: float,
        figures: UsageFigures,
        stored: Stored,
        lost: Lost,
        logger: Logger,
        journal: UsageSpool | None = None,
    ) -> None:
        """Make one.

        Args:
            bus: Where the stream is.
            backlog: Where batches are kept that could not be stored in time.
            bound_seconds: How long one may be on its way; 0 where no answer waits, and it does not matter much.
            figures: To be counted up.
            stored: Told of each batch that is stored.
            lost: Told of what can never be stored.
            logger: For everything it says.
            journal: Where batches were written before they were sent.
        """
        self._bus = bus
        self._backlog = backlog
        self._journal = journal
        self._bound_seconds = bound_seconds or _NEVER_HELD_BOUND_SECONDS
        self._figures = figures
        self._stored = stored
        self._lost = lost
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._sent: set[_Sent] = set()
        self._answering = True

    @property
    def answering(self) -> bool:
        """Whether NATS answered last, as far as this knows."""
        return self._answering

    @property
    def may_send(self) -> bool:
        """Whether a batch has a chance; with nothing in the backlog that would be tried again, only trying can tell."""
        return self._bus.connected and (self._answering or self._backlog.empty)

    def heard(self) -> None:
        """NATS has stored something: no need to keep everything in the backlog any more."""
        self._answering = True

    def send(self, batch: Batch, left: Then, *, since: float, journalled: Segment | None = None) -> None:
        """Have a batch stored; `left` is called once, when it holds up nothing any more.

        Args:
            batch: Which.
            left: It is stored, kept, or can never be stored.
            since: When its bound began.
            journalled: Where in the journal it is, which it leaves when it is stored or kept on the disk.
        """
        future = self._bus.append_soon(batch.subject, batch.data, msg_id=batch.msg_id)
        sent = _Sent(batch, left, future, self._loop.time(), journalled=journalled)
        sent.timer = self._loop.call_at(since + self._bound_seconds, self._overdue, sent)
        self._sent.add(sent)
        future.add_done_callback(partial(self._answered, sent))

    def keep(self, batches: list[Batch]) -> Place:
        """Put batches into the backlog that are not to be sent now; gives where they are."""
        self._figures.late += sum(batch.requests for batch in batches)
        return self._backlog.keep(batches)

    async def finish(self, send_rest: Callable[[], None], timeout_seconds: float) -> bool:
        """Wait for all answers; gives whether everything is stored or kept.

        Args:
            send_rest: Sends what has gathered, also meanwhile.
            timeout_seconds: How long to wait.
        """
        until = self._loop.time() + timeout_seconds
        while True:
            send_rest()
            waited_for = [sent.future for sent in self._sent if sent.place is None]
            left = until - self._loop.time()
            if not waited_for or left <= 0:
                return not waited_for
            await asyncio.wait(waited_for, timeout=left)
            await asyncio.sleep(0)  # what the answers lead to runs in this turn

    def expect_nothing(self) -> None:
        """NATS has had its time: it counts as not answering until it does."""
        self._answering = False

    def keep_all(self) -> None:
        """Put everything that is on its way into the backlog as well."""
        for sent in tuple(self._sent):
            if sent.place is None:
                self._overdue(sent)

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
        sent.place = self.keep([sent.batch])
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
        if sent.timer is None:
            return  # it did so when it was overdue
        sent.timer.cancel()
        sent.timer = None
        sent.left()

    def _settle(self, sent: _Sent) -> None:
        self._out_of_journal(sent)
        if sent.place is not None:
            self._backlog.settle(sent.place, sent.batch.msg_id)

    def _stopped_answering(self, reason: str) -> None:
        if self._answering:
            self._answering = False
            self._logger.warning("usage.kept", reason=reason)


def release(thens: list[Then], logger: Logger) -> None:
    """Let answers end; one that fails must not keep the others from it."""
    for then in thens:
        try:
            then()
        except Exception:  # the outermost call of a request's end
            logger.exception("usage.release_failed")
