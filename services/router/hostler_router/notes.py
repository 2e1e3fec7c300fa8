"""What is put down of every request when it has ended: the figures, and one line in the log.

Nearly all end alike, with a 200 and no stream. Those are gathered, for a tenth of a second at most, and put down many at a time, in a third of what
it takes one by one; who asks for figures meanwhile has them put down first. Who is killed loses the lines of that time.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from hostler_router.access_log import AccessLog
from hostler_router.answers import Ended, added_up
from hostler_router.exchange import Exchange, Outcome
from hostler_router.metrics import RouterMetrics
from hostler_router.table import RouteTable
from hostler_router.windows import WindowRecorder

_CLIENT_GONE_CODE: Final = 499
"""The code by which logs and figures, nginx's first, call a request whose client hung up."""


_PERIOD_SECONDS: Final = 0.1
_GATHERED_MAX: Final = 64
"""Put down when so many wait, after what else there is to do in that turn of the event loop: more would hardly be cheaper, and would be what the
next request waits for."""


class Notes:
    """Puts requests down."""

    def __init__(
        self,
        metrics: RouterMetrics,
        recorder: WindowRecorder,
        table: RouteTable,
        access_log: AccessLog,
        *,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it; the last two are the clocks, of which `Exchange.started` is by the second."""
        self._metrics = metrics
        self._recorder = recorder
        self._table = table
        self._access_log = access_log
        self._wall, self._now = wall, now
        self._gathered: list[Ended] = []
        self._timer: asyncio.TimerHandle | None = None

    def ended(self, exchange: Exchange, status: int, seconds: float) -> None:
        """A request ended with this status, 0 where its client got none, after so many seconds."""
        code = status or _CLIENT_GONE_CODE
        metrics = self._metrics
        metrics.ended(exchange.route, code, seconds)
        if exchange.job_id and self._table.get(exchange.job_id) is not None:
            metrics.job_ended(exchange.job_id, exchange.outcome, seconds)
            usage = exchange.usage
            if usage is not None:
                metrics.tokens(
                    exchange.job_id, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens or 0
                )
                if usage.audio_seconds:
                    metrics.audio(exchange.job_id, usage.audio_seconds)
        if exchange.tries and not exchange.stream and exchange.outcome is Outcome.ANSWERED:
            elsewhere = exchange.body_seconds + exchange.replica_seconds + exchange.queue_seconds
            metrics.overhead(seconds - elsewhere)
        self._access_log.note_ended(exchange, code, seconds)

    def answered(self, exchange: Exchange, seconds: float) -> None:
        """A request for a job was answered with a 200 and was no stream, after so many seconds; nothing of it changes any more."""
        gathered = self._gathered
        gathered.append((exchange, seconds))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PERIOD_SECONDS, self.flush)
        if len(gathered) == _GATHERED_MAX:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Put down what was gathered; also to be called once at the end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered = self._gathered, []
        alike: dict[tuple[str, str, str], list[Ended]] = {}
        for each in gathered:
            exchange = each[0]
            of = (exchange.route, exchange.job_id, exchange.replica_id)
            among = alike.get(of)
            if among is None:
                alike[of] = [each]
            else:
                among.append(each)
        for (route, job_id, replica_id), among in alike.items():
            self._count(route, job_id, replica_id, among)
        self._access_log.note_all(gathered, 200, ahead_seconds=self._wall() - self._now())

    def _count(self, route: str, job_id: str, replica_id: str, ended: list[Ended]) -> None:
        if self._table.get(job_id) is None:  # its figures went with it
            for _, seconds in ended:
                self._metrics.ended(route, 200, seconds)
            return
        answers = added_up(ended)
        self._metrics.answered(route, job_id, answers)
        self._recorder.answered(job_id, replica_id, answers)
