"""How requests reach a job's replicas: what its owner may choose about balancing, queueing and routes.

Part of the spec; the router carries it out. No replica is made from it, so a change of it replaces none.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from hostler_domain.errors import FieldError

PREFIX_CHARS_MAX = 65_536
CONCURRENCY_PER_REPLICA_MAX = 100_000
QUEUE_MAX = 100_000
QUEUE_TIMEOUT_SECONDS_MAX = 3600
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)


class Balancing(StrEnum):
    """How a replica is picked among those that are ready."""

    LEAST_OUTSTANDING = "least-outstanding"
    """The one with the least work under way."""
    PREFIX = "prefix"
    """The one that most likely has the beginning of the prompt in its cache, unless it has too much to do."""
    SESSION = "session"
    """The one that the caller's session went to before, unless it has too much to do."""


class ExtraRoute(StrEnum):
    """Routes that a job must allow, because not every runtime has them or not every owner wants them called."""

    RESPONSES = "responses"
    RERANK = "rerank"
    SCORE = "score"
    TOKENIZE = "tokenize"
    DETOKENIZE = "detokenize"


EXTRA_ROUTES: tuple[str, ...] = tuple(route.value for route in ExtraRoute)
_OF_RUNTIME: Mapping[str, frozenset[str]] = MappingProxyType(
    {runtime: frozenset({ExtraRoute.RESPONSES.value}) for runtime in ("vllm", "llamacpp")}
)
"""What is allowed without being asked for: the responses, of runtimes that are known to answer them. Of servers that a job adopts
nobody knows what they are, so their owner says it."""


@dataclass(frozen=True, slots=True)
class Routing:
    """What the owner chose.

    Attributes:
        balancing: How a replica is picked.
        prefix_chars: For `prefix`: so much of the beginning of the messages is what requests have in common.
        session_header: For `session`: the header that names the session, in lower case.
        concurrency_per_replica: Requests under way on one replica, at most; None for the router's setting.
        queue_max: Requests that may wait for a replica at once; None for the router's setting, 0 lets none wait.
        queue_timeout_seconds: How long one may wait; None for the router's setting.
        resume_streams: Whether a stream whose replica died may go on with another one.
        extra_routes: Routes that are allowed beside the standard ones, of `EXTRA_ROUTES`.
    """

    balancing: Balancing = Balancing.LEAST_OUTSTANDING
    prefix_chars: int = 1024
    session_header: str = "x-session-id"
    concurrency_per_replica: int | None = None
    queue_max: int | None = None
    queue_timeout_seconds: int | None = None
    resume_streams: bool = True
    extra_routes: tuple[str, ...] = ()


def allowed_extra_routes(routing: Routing, runtime: str) -> frozenset[str]:
    """Which of `EXTRA_ROUTES` a job with this runtime answers."""
    return _OF_RUNTIME.get(runtime, frozenset()).union(routing.extra_routes)


def routing_errors(routing: Routing, prefix: str = "routing") -> Iterator[FieldError]:
    """Everything that does not make sense in `routing`; fields are named under `prefix`."""
    bounds = (
        ("prefix_chars", routing.prefix_chars, 1, PREFIX_CHARS_MAX),
        ("concurrency_per_replica", routing.concurrency_per_replica, 1, CONCURRENCY_PER_REPLICA_MAX),
        ("queue_max", routing.queue_max, 0, QUEUE_MAX),
        ("queue_timeout_seconds", routing.queue_timeout_seconds, 0, QUEUE_TIMEOUT_SECONDS_MAX),
    )
    for field, value, lowest, highest in bounds:
        if value is not None and not lowest <= value <= highest:
            yield FieldError(f"{prefix}.{field}", f"must be from {lowest} to {highest}, got {value}")
    if not _HEADER_NAME.fullmatch(routing.session_header):
        yield FieldError(
            f"{prefix}.session_header", "must be the name of a header in lower case, such as 'x-session-id'"
        )
    for number, route in enumerate(routing.extra_routes):
        if route not in EXTRA_ROUTES:
            yield FieldError(f"{prefix}.extra_routes.{number}", f"must be one of {', '.join(EXTRA_ROUTES)}")
        elif route in routing.extra_routes[:number]:
            yield FieldError(f"{prefix}.extra_routes.{number}", f"{route} is given twice")
