"""What is put down of every request when it has ended: the figures, and one line in the log."""

from typing import Final

from hostler_router.access_log import AccessLog
from hostler_router.exchange import Exchange, Outcome
from hostler_router.metrics import RouterMetrics
from hostler_router.table import RouteTable

_CLIENT_GONE_CODE: Final = 499
"""The code by which logs and figures, nginx's first, call a request whose client hung up."""


class Notes:
    """Puts requests down."""

    def __init__(self, metrics: RouterMetrics, table: RouteTable, access_log: AccessLog) -> None:
        self._metrics = metrics
        self._table = table
        self._access_log = access_log

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
        self._access_log.note(
            exchange.request_id,
            exchange.route,
            exchange.job_id,
            exchange.replica_id,
            code,
            exchange.outcome,
            exchange.stream,
            exchange.tries,
            seconds,
        )
