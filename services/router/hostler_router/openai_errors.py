"""Errors in OpenAI's shape, and the deliberate answer of each to "is it worth trying this again?".

The stock client tries 408, 409, 429 and every 5xx again by itself unless `x-should-retry` says otherwise, so each error here
says it. The router's README lists the codes.
"""

import json
import math
from dataclasses import dataclass, replace

from hostler_domain.errors import HostlerError
from hostler_domain.redaction import redact
from hostler_router.limit_rules import Bound, Refusal, Verdict, reset_text

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """One error for a client.

    Attributes:
        status: HTTP status.
        message: A sentence that says what to do about it.
        type: OpenAI's coarse kind.
        code: Stable word for programs; None where the runtime gave none.
        param: Field of the request that is at fault.
        retry_after_seconds: When another try may succeed.
        should_retry: Whether a client should try again by itself.
        headers: Further ones, such as `allow`.
    """

    status: int
    message: str
    type: str = INVALID_REQUEST
    code: str | None = None
    param: str | None = None
    retry_after_seconds: int | None = None
    should_retry: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self) -> bytes:
        """The JSON document; one line, so that it may stand in an event too."""
        # Messages quote what a client wrote, who may have written a key where the model's name belongs.
        error = {"message": redact(self.message), "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()

    def all_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Its headers but those that every reply has."""
        retry_after = (
            ()
            if self.retry_after_seconds is None
            else ((b"retry-after", str(self.retry_after_seconds).encode()),)
        )
        should_retry = (b"x-should-retry", b"true" if self.should_retry else b"false")
        return (*self.headers, *retry_after, should_retry)


class Refused(HostlerError):
    """A request that ends with an error before it reached a replica."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.message)
        self.reply = reply


def invalid(message: str, *, code: str, param: str | None = None) -> ErrorReply:
    """400: the request itself is at fault."""
    return ErrorReply(400, message, code=code, param=param)


def bad_key(message: str) -> ErrorReply:
    """401: no key, or one that is not accepted."""
    return ErrorReply(
        401, message, code="invalid_api_key", headers=((b"www-authenticate", b'Bearer realm="hostler"'),)
    )


def missing_scope(scope: str) -> ErrorReply:
    """403: the key is good, but not for this."""
    message = f"This API key lacks the scope {scope!r}; use another one or have it made with that scope."
    return ErrorReply(403, message, type="permission_error", code="insufficient_scope")


def unknown_model(model: str) -> ErrorReply:
    """404: no job goes by that name, or not for this caller, who must not learn the difference."""
    return ErrorReply(
        404,
        f"The model {_short(model)!r} does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def ambiguous_model(model: str, job_ids: tuple[str, ...]) -> ErrorReply:
    """400: several jobs go by that name."""
    return invalid(
        f"{_short(model)!r} names {len(job_ids)} jobs; give the id of the one you mean: {', '.join(job_ids)}.",
        code="model_ambiguous",
        param="model",
    )


def unknown_route(method: str, path: str) -> ErrorReply:
    """404: there is nothing at that path."""
    return ErrorReply(404, f"There is no {method} {_short(path)} here.", code="unknown_url")


def wrong_method(method: str, path: str, allowed: str) -> ErrorReply:
    """405: there is something at that path, but not for that method."""
    return ErrorReply(
        405,
        f"{_short(path)} does not take {_short(method)}; it takes {allowed}.",
        code="method_not_allowed",
        headers=((b"allow", allowed.encode()),),
    )


def body_too_large(body_bytes_max: int) -> ErrorReply:
    """413: the body is over the limit."""
    return ErrorReply(
        413, f"The request body is larger than {body_bytes_max} bytes.", code="request_too_large"
    )


def encoded_body(encoding: str) -> ErrorReply:
    """415: the body is compressed; nothing is decompressed here, because a small body may become a huge one."""
    message = f"Request bodies must not be encoded, this one is ({_short(encoding)})."
    return ErrorReply(415, message, code="unsupported_content_encoding")


def body_too_slow(body_timeout_seconds: float) -> ErrorReply:
    """408: the body did not arrive in time."""
    message = f"The request body did not arrive within {body_timeout_seconds:g} seconds."
    return ErrorReply(408, message, code="request_body_timeout")


def body_stalled(stall_seconds: float) -> ErrorReply:
    """408: nothing more of the body came."""
    message = f"Nothing more of the request body arrived for {stall_seconds:g} seconds."
    return ErrorReply(408, message, code="request_body_timeout")


def rate_limited(verdict: Verdict) -> ErrorReply:
    """429: a limit of the key or of its project has no room. Code, types and wording are OpenAI's, which clients read."""
    refusal = verdict.refusal
    wait_seconds = verdict.retry_after_seconds
    # Without a wait it is larger than the whole limit, and trying the same again is in vain.
    in_vain = refusal is not None and wait_seconds == 0
    waits = () if in_vain else ((b"retry-after-ms", b"%d" % math.ceil(wait_seconds * 1000)),)
    return ErrorReply(
        429,
        "A rate limit is reached." if refusal is None else _limit_message(refusal),
        type="tokens" if refusal is not None and refusal.bound is Bound.TOKENS else "requests",
        code="rate_limit_exceeded",
        retry_after_seconds=None if in_vain else max(math.ceil(wait_seconds), 1),
        should_retry=not in_vain,
        headers=(*verdict.headers, *waits),
    )


def _limit_message(refusal: Refusal) -> str:
    whose = "this API key" if refusal.subject.kind == "key" else "the project of this API key"
    figures = f"Limit {refusal.limit}, Used {refusal.used}, Requested {refusal.wanted}."
    if math.isinf(refusal.wait_seconds):
        return (
            f"Request too large for the limit of {whose} on tokens per min (TPM): Limit {refusal.limit}, "
            f"Requested {refusal.wanted}. The prompt or the tokens asked for must be fewer."
        )
    match refusal.bound:
        case Bound.REQUESTS:
            reached = f"Rate limit reached for {whose} on requests per min (RPM): {figures}"
        case Bound.TOKENS:
            reached = f"Rate limit reached for {whose} on tokens per min (TPM): {figures}"
        case Bound.CONCURRENCY:
            return (
                f"Rate limit reached for {whose} on requests at once: {figures} "
                "Try again when one of them has ended."
            )
    return f"{reached} Please try again in {reset_text(refusal.wait_seconds)}."


def not_serving(message: str, *, retry_after_seconds: int, should_retry: bool) -> ErrorReply:
    """503: the job has no ready replica."""
    return ErrorReply(
        503,
        message,
        type=SERVER_ERROR,
        code="no_ready_replica",
        retry_after_seconds=retry_after_seconds,
        should_retry=should_retry,
    )


def queue_full(name: str, retry_after_seconds: int) -> ErrorReply:
    """429: every replica has as much as it may have, and as many requests as may are waiting."""
    return ErrorReply(
        429,
        f"The job {_short(name)} has as many requests waiting as it may have; try again shortly.",
        type="rate_limit_error",
        code="queue_full",
        retry_after_seconds=retry_after_seconds,
        should_retry=True,
    )


def queue_timed_out(name: str, retry_after_seconds: int) -> ErrorReply:
    """503: the request waited for a replica for as long as it may."""
    return ErrorReply(
        503,
        f"The request waited for a replica of the job {_short(name)} for as long as it may; try again shortly.",
        type=SERVER_ERROR,
        code="queue_timeout",
        retry_after_seconds=retry_after_seconds,
        should_retry=True,
    )


def route_not_allowed(route: str, name: str) -> ErrorReply:
    """404: the job does not answer that route."""
    return ErrorReply(
        404,
        f"The job {_short(name)} does not answer {route}; its owner can allow it (routing.extra_routes).",
        code="route_not_allowed",
    )


def not_offered(route: str) -> ErrorReply:
    """501: the service that owns the route is not installed."""
    return ErrorReply(
        501,
        f"{route} is not offered here: the service that owns it is not installed.",
        code="not_offered",
    )


# Nobody answered, so nothing was run and trying again is safe.
REPLICAS_UNREACHABLE = not_serving(
    "No replica of this model could be reached; try again shortly.", retry_after_seconds=2, should_retry=True
)
# The replica had the request and lost it. Nothing of its answer was given out, so another try duplicates nothing.
REPLICA_FAILED = ErrorReply(
    502,
    "The replica failed before it had answered; try again.",
    type=SERVER_ERROR,
    code="replica_failed",
    should_retry=True,
)
# The replica does not take the router's key, or answers what no runtime answers: another try ends the same way.
REPLICA_MISCONFIGURED = ErrorReply(
    502,
    "The replica gave an answer that the router can't use; its provisioner has to look at it.",
    type=SERVER_ERROR,
    code="replica_misconfigured",
)
BROKEN_OFF = replace(
    REPLICA_FAILED, message="The replica failed in the middle of the answer, which ends here."
)
NO_STREAM = replace(
    REPLICA_FAILED,
    message="The replica answered otherwise than in a stream, after this one had been opened.",
    code="replica_no_stream",
    should_retry=False,
)
STALLED = replace(
    REPLICA_FAILED,
    message="The replica fell silent in the middle of the answer, which ends here.",
    code="replica_stalled",
    should_retry=False,
)
# It ran for as long as the job allows; another try would cost the same and most likely end the same.
TIMED_OUT = ErrorReply(
    504,
    "The request took longer than the job's request timeout, or X-Timeout-S, allows.",
    type="timeout_error",
    code="request_timeout",
)
# The replica may have been at work, and may be slow for everyone; another one is asked before a client hears this.
TIMED_OUT_FIRST = ErrorReply(
    504,
    "The replica did not begin to answer in time.",
    type="timeout_error",
    code="first_byte_timeout",
)
OWNER_AWAY = ErrorReply(
    503,
    "The service that owns this route can't be reached; try again shortly.",
    type=SERVER_ERROR,
    code="service_unavailable",
    retry_after_seconds=2,
    should_retry=True,
)
ASYNC_NOT_OFFERED = ErrorReply(
    501,
    "The router does not answer asynchronously yet; send the request without X-Async.",
    code="async_not_offered",
    param="X-Async",
)
ROUTER_STARTING = ErrorReply(
    503,
    "The router has not read the state of all jobs yet; try again shortly.",
    type=SERVER_ERROR,
    code="router_starting",
    retry_after_seconds=1,
    should_retry=True,
)
ROUTER_STOPPING = ErrorReply(
    503,
    "The router was stopped before the answer was complete; try again.",
    type=SERVER_ERROR,
    code="router_stopping",
    retry_after_seconds=1,
    should_retry=True,
)
INTERNAL = ErrorReply(
    500,
    "The router failed; its log has the details under this request id.",
    type=SERVER_ERROR,
    code="internal_error",
)


def _short(text: str) -> str:
    """What a client sent, cut to a length that an error may repeat."""
    return text if len(text) <= 200 else text[:200] + "..."
