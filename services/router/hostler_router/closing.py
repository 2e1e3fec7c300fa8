"""What is put down when a request for inference has ended: its limits, its load, its figures and log line, its trace.

Called by the request, once, just before the end of its answer goes out: once that is sent, the request counts as over for everyone.
"""

from hostler_router.bodies import Asked
from hostler_router.exchange import Exchange, Outcome
from hostler_router.genai_names import Attributes, operation_of
from hostler_router.limit_rules import Lease
from hostler_router.parts import RouterParts
from hostler_router.table import Entry
from hostler_router.tracing import Span


def put_down(
    parts: RouterParts,
    exchange: Exchange,
    entry: Entry | None,
    asked: Asked | None,
    *,
    lease: Lease | None,
    span: Span | None,
    status: int,
    seconds: float,
) -> None:
    """Put a request down.

    Args:
        parts: What requests work with.
        exchange: The course of it.
        entry: Its job, if it was let in.
        asked: What it asked for, if that is known.
        lease: What it holds of its key's limits.
        span: Its trace, if that is kept.
        status: That its client gets; 0 for none.
        seconds: How long it took.
    """
    if lease is not None:
        usage = exchange.usage
        # A request that reached no replica took nothing; of one that nobody measured the estimate stands.
        used = None if usage is None else usage.prompt_tokens + usage.completion_tokens
        lease.settle(used if exchange.tries else 0)
    if entry is not None:
        _count(parts, exchange, entry.job_id, seconds)
    parts.ended(exchange, status, seconds)
    if span is not None:
        span.end(**_traced(exchange, entry, asked, status))


def _count(parts: RouterParts, exchange: Exchange, job_id: str, seconds: float) -> None:
    recorder, metrics, replica_id = parts.recorder, parts.metrics, exchange.replica_id
    recorder.left(job_id)
    usage = exchange.usage
    if usage is not None:
        recorder.used(job_id, replica_id, usage)
    if exchange.first_event_seconds is not None:
        recorder.first_token(job_id, replica_id, exchange.first_event_seconds * 1000)
        metrics.first_event(exchange.first_event_seconds, job_id)
    match exchange.outcome:
        case Outcome.ANSWERED:
            tokens = 0 if usage is None else usage.completion_tokens
            recorder.completed(job_id, replica_id, seconds * 1000, tokens)
        case Outcome.FAILED | Outcome.BROKEN | Outcome.CUT:
            recorder.failed(job_id, replica_id)
        case Outcome.REJECTED | Outcome.LIMITED:
            recorder.turned_away(job_id)
        case _:  # its client hung up; the others end before they get here
            metrics.client_gone()


def _traced(exchange: Exchange, entry: Entry | None, asked: Asked | None, status: int) -> Attributes:
    usage = exchange.usage
    failed = status >= 500 or exchange.outcome not in (Outcome.ANSWERED, Outcome.CLIENT_GONE)
    return {
        "operation": operation_of(exchange.route),
        "model": None if entry is None else entry.model,
        "stream": exchange.stream,
        "tokens_max": None if asked is None else asked.tokens_max,
        "input_tokens": None if usage is None else usage.prompt_tokens,
        "output_tokens": None if usage is None else usage.completion_tokens,
        "cached_tokens": None if usage is None else usage.cached_tokens,
        "first_chunk_seconds": exchange.first_event_seconds,
        "method": "POST",
        "route": exchange.route,
        "status": status,
        "error": exchange.outcome.value if failed else None,
        "job": exchange.job_id or None,
        "project": None if entry is None else entry.project,
        "replica": exchange.replica_id or None,
        "request_id": exchange.request_id,
        "outcome": exchange.outcome.value,
        "tries": exchange.tries,
        "waited_seconds": exchange.queue_seconds or None,
    }
