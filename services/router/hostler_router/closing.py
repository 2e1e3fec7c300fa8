"""The end of a request for inference: what it took is stored, then it is put down, then the end of its answer goes out.

Called by the request, once. What is put down are its limits, its load, its figures and log line, its trace: just before the end of the
answer leaves, since with that the request is over for everyone.
"""

from collections.abc import Callable
from typing import Final

from hostler_contracts.usage_records import SoundRecord, UsageRecord
from hostler_kit.ids import new_id
from hostler_router.answer_usage import Usage
from hostler_router.client_answer import ClientAnswer
from hostler_router.exchange import Exchange, Outcome
from hostler_router.genai_names import Attributes, operation_of
from hostler_router.limit_rules import Lease
from hostler_router.parts import RouterParts
from hostler_router.running import UnderWay
from hostler_router.table import Entry
from hostler_router.tracing import Span
from hostler_router.usage import answered, finished

_BYTES_PER_TOKEN: Final = 4
"""What a prompt is taken to be, where nobody has counted its tokens."""


def conclude(
    parts: RouterParts,
    exchange: Exchange,
    answer: ClientAnswer,
    request: UnderWay,
    entry: Entry | None,
    *,
    lease: Lease | None,
    span: Span | None,
    status: int,
    body_bytes: int,
    send: Callable[[], None],
    wait: bool,
) -> None:
    """Meter a request, note it, and let the end of its answer go.

    Args:
        parts: What requests work with.
        exchange: The course of it.
        answer: What its client got of it.
        request: The request, under way until then if it was let in.
        entry: Its job, if it was let in.
        lease: What it holds of its key's limits.
        span: Its trace, if that is kept.
        status: That its client gets; 0 for none.
        body_bytes: How long its body was.
        send: Sends the end.
        wait: Whether the end waits until the usage is stored.
    """
    ended = parts.clock.monotonic()

    def end() -> None:
        try:
            # Its end leaves now, after its usage is stored.
            seconds = parts.clock.monotonic() - exchange.started
            _put_down(parts, exchange, entry, lease=lease, span=span, status=status, seconds=seconds)
        finally:
            try:
                send()
            finally:
                if entry is not None:
                    parts.running.leave(request)

    if entry is None:
        end()
        return
    parts.lines.pump(entry.job_id)
    if not exchange.tries:
        end()
        return
    measured = _is_measured(exchange, answer, body_bytes)
    record = record_of(parts, exchange, entry, status=status, ended=ended, measured=measured)
    if wait:
        parts.committer.commit(entry.project, entry.job_id, record, end)
    else:
        end()
        parts.committer.commit(entry.project, entry.job_id, record, nothing)


def record_of(
    parts: RouterParts, exchange: Exchange, entry: Entry, *, status: int, ended: float, measured: bool
) -> UsageRecord:
    """What is stored of a request that ended just now; arguments as of `conclude` and `usage.finished`."""
    return finished(
        exchange,
        entry,
        status=status,
        now=parts.clock.now(),
        duration_seconds=max(ended - exchange.started, 0.0),
        usage_id=_usage_id_of(exchange),
        measured=measured,
    )


def record_of_answered(parts: RouterParts, exchange: Exchange, entry: Entry, *, ended: float) -> SoundRecord:
    """The same of one that was answered with a 200 and was no stream."""
    if exchange.trace is not None:
        return record_of(parts, exchange, entry, status=200, ended=ended, measured=exchange.usage is not None)
    return answered(
        exchange,
        entry,
        now=parts.clock.now(),
        seconds=ended - exchange.started,
        usage_id=_usage_id_of(exchange),
    )


def nothing() -> None:
    """There is nobody to send it to."""


def _usage_id_of(exchange: Exchange) -> str:
    """An id that was made here is nobody else's; one that a client gave may come again."""
    return new_id() if exchange.named_by_client else exchange.request_id


def _is_measured(exchange: Exchange, answer: ClientAnswer, body_bytes: int) -> bool:
    """Whether the runtime has said what was taken; where it has not, that is estimated."""
    if exchange.usage is not None:
        return not exchange.resumed  # of a resumed one the sum is measured, but not how it is split
    if answer.events and answer.spoke:
        exchange.usage = Usage(body_bytes // _BYTES_PER_TOKEN, answer.events)
    return False


def _put_down(
    parts: RouterParts,
    exchange: Exchange,
    entry: Entry | None,
    *,
    lease: Lease | None,
    span: Span | None,
    status: int,
    seconds: float,
) -> None:
    if lease is not None:
        usage = exchange.usage
        # A request that reached no replica took nothing; of one that nobody measured the estimate stands.
        used = None if usage is None else usage.prompt_tokens + usage.completion_tokens
        lease.settle(used if exchange.tries else 0)
    if entry is not None:
        _count(parts, exchange, entry.job_id, seconds)
    parts.ended(exchange, status, seconds)
    if span is not None:
        span.end(**_traced(exchange, entry, status))


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


def _traced(exchange: Exchange, entry: Entry | None, status: int) -> Attributes:
    usage = exchange.usage
    failed = status >= 500 or exchange.outcome not in (Outcome.ANSWERED, Outcome.CLIENT_GONE)
    return {
        "operation": operation_of(exchange.route),
        "model": None if entry is None else entry.model,
        "stream": exchange.stream,
        "tokens_max": exchange.tokens_max,
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
