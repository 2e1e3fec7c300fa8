"""What is known of one request while it passes through, for its log line and the counts at its end."""

from enum import StrEnum

from hostler_router.answer_usage import Usage


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    """In full, whatever the status says, but for the ones below."""
    REFUSED = "refused"
    """By the router, for what is wrong with it."""
    REJECTED = "rejected"
    """For want of a ready replica, or of a place in the line for one."""
    LIMITED = "limited"
    """For a limit of its key or project."""
    FAILED = "failed"
    """With a 5xx, before anything of an answer was sent."""
    BROKEN = "broken"
    """In the middle of its answer, by the replica's fault or the time limit."""
    CLIENT_GONE = "client_gone"
    """Its client hung up."""
    CUT = "cut"
    """The router was stopped and could not wait any longer."""


class Exchange:
    """One request and what became of it.

    Attributes:
        request_id: The client's own, or a new one.
        named_by_client: Whether it is the client's own.
        route: The path as a label; few values.
        started: When it came, by the monotonic clock.
        key_id: Of the caller's API key, once known.
        key_project: The key's project, likewise.
        job_id: The job that is meant, once known.
        replica_id: The replica that was tried last.
        stream: Whether events were asked for.
        tokens_max: Longest answer that was asked for; None where the client did not say.
        tries: How many replicas were asked.
        replica_seconds: How long replicas were waited for.
        queued_at: Since when it waits for a replica, by the monotonic clock; None while it does not.
        queue_seconds: How long it has waited for one.
        resumed: Another replica continued the stream of the first.
        body_seconds: How long the request body took to come.
        first_event_seconds: When the first event went out, since the start; None before that.
        usage: As the runtime said.
        outcome: How it ended.
        trace: Of the trace that it is a part of, as `traceparent` says it; None where it is in none.
        tracestate: What vendors add to that.
    """

    # Most of them stay what they are here, and cost a request nothing.
    key_id: str | None = None
    key_project: str | None = None
    job_id: str = ""
    replica_id: str = ""
    stream: bool = False
    tokens_max: int | None = None
    tries: int = 0
    replica_seconds: float = 0.0
    queued_at: float | None = None
    queue_seconds: float = 0.0
    resumed: bool = False
    body_seconds: float = 0.0
    first_event_seconds: float | None = None
    usage: Usage | None = None
    named_by_client: bool = True
    trace: str | None = None
    tracestate: str | None = None

    def __init__(self, request_id: str, route: str, started: float) -> None:
        self.request_id = request_id
        self.route = route
        self.started = started
        self.outcome = Outcome.ANSWERED
