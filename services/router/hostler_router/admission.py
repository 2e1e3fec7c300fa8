"""Whether a request is let in: who asks, for which job, and within which limits.

Called by the application for its head and by the request for its body, once each. Keys and routes come from memory, and only callers
with limits wait for a store.
"""

from datetime import datetime

from hostler_router.auth import ANYONE, Caller
from hostler_router.exchange import Exchange, Outcome
from hostler_router.limit_rules import estimated_tokens
from hostler_router.limits_held import Done
from hostler_router.openai_errors import (
    ErrorReply,
    Refused,
    ambiguous_model,
    encoded_body,
    not_serving,
    route_not_allowed,
    unknown_model,
)
from hostler_router.parts import RouterParts
from hostler_router.table import Ambiguous, Entry, NotServing, Unknown, Waking
from hostler_router.wire.heads import Head
from hostler_router.wishes import Wishes, read_wishes


def admit(parts: RouterParts, head: Head, exchange: Exchange) -> tuple[Caller | ErrorReply, Wishes]:
    """Who asks, or why that is nobody; and what the head of the request wishes.

    Raises:
        Refused: the head says that the request can't be answered.
    """
    headers = head.headers
    caller = parts.callers.authenticate(headers, now=parts.clock.now())
    if isinstance(caller, Caller):
        parts.on_key(caller.key_id)
        exchange.key_id, exchange.key_project = caller.key_id, caller.viewer.project
    elif not parts.table.has_public:
        raise Refused(caller)  # before the body: strangers get nothing held for them
    wishes = read_wishes(headers)
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        raise Refused(encoded_body(encoding.decode("latin-1")))
    return caller, wishes


def resolve(parts: RouterParts, caller: Caller | ErrorReply, model: str, exchange: Exchange) -> Entry:
    """The job that is meant, which will serve now or soon.

    Raises:
        Refused: there is none, or it does not do what is asked for.
    """
    target = parts.table.resolve(model, caller.viewer if isinstance(caller, Caller) else ANYONE)
    if isinstance(target, Ambiguous | Unknown):
        # Without a good key nobody learns which names exist, only that a key is needed.
        if isinstance(caller, ErrorReply):
            raise Refused(caller)
        if isinstance(target, Ambiguous):
            raise Refused(ambiguous_model(model, target.job_ids))
        raise Refused(unknown_model(model))
    entry = target.entry
    exchange.job_id = entry.job_id
    if not entry.allows(exchange.route):
        raise Refused(route_not_allowed(exchange.route, entry.name))
    if isinstance(target, NotServing):
        exchange.outcome = Outcome.REJECTED
        parts.recorder.rejected(entry.job_id)
        raise Refused(no_replica(target, parts.clock.now()))
    return entry


def ask_limits(
    parts: RouterParts, caller: Caller | ErrorReply, *, body_bytes: int, tokens_max: int | None, done: Done
) -> bool:
    """Whether the caller's key or project has limits; if so, `done` hears what they say, now or soon."""
    if isinstance(caller, ErrorReply):
        return False
    project_limits = parts.project_limits(caller.project)
    if not caller.limits and not project_limits:
        return False
    tokens = estimated_tokens(body_bytes, tokens_max, parts.settings.limits_tokens_default)
    parts.limiter.submit(caller.key_id, caller.limits, caller.project, project_limits, tokens, done)
    return True


def no_replica(target: NotServing | Waking, now: datetime) -> ErrorReply:
    """What the caller of a job without a ready replica is told."""
    entry = target.entry
    why = f"{entry.phase}, {entry.reason}" if entry.reason else str(entry.phase)
    return not_serving(
        f"The job {entry.project}/{entry.name} has no ready replica ({why}).",
        retry_after_seconds=entry.eta_at(now) or target.retry_after_seconds,
        should_retry=target.worth_waiting,
    )
