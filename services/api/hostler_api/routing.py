"""A job's routing as users write it, whole when the job is made and as a merge patch afterwards. Pure."""

from typing import TypeVar

from pydantic import Field

from hostler_api.numbers import Flag, Whole
from hostler_api.request_body import RequestBody
from hostler_domain.routing import EXTRA_ROUTES, Balancing, ExtraRoute, Routing

_DEFAULT = Routing()
_HEADER_LENGTH_MAX = 64
Value = TypeVar("Value")


class RoutingRequest(RequestBody):
    """How requests reach the replicas; what is left out or null is the router's to choose."""

    balancing: Balancing = _DEFAULT.balancing
    prefix_chars: Whole = Field(
        default=_DEFAULT.prefix_chars, description="Of the messages, for the balancing `prefix`."
    )
    session_header: str = Field(
        default=_DEFAULT.session_header,
        max_length=_HEADER_LENGTH_MAX,
        description="Names the session, for the balancing `session`; in lower case.",
    )
    concurrency_per_replica: Whole | None = Field(
        default=None, description="Requests under way on one replica, at most."
    )
    queue_max: Whole | None = Field(default=None, description="Requests that may wait at once.")
    queue_timeout_seconds: Whole | None = Field(default=None, description="How long one may wait.")
    resume_streams: Flag = Field(
        default=_DEFAULT.resume_streams,
        description="Whether a stream whose replica died may go on with another one.",
    )
    extra_routes: tuple[ExtraRoute, ...] = Field(
        default=(),
        max_length=len(EXTRA_ROUTES),
        description="Routes that are allowed beside the standard ones.",
    )


class RoutingPatch(RequestBody):
    """How requests reach the replicas. `extra_routes` is replaced as a whole."""

    balancing: Balancing | None = None
    prefix_chars: Whole | None = None
    session_header: str | None = Field(default=None, max_length=_HEADER_LENGTH_MAX)
    concurrency_per_replica: Whole | None = None
    queue_max: Whole | None = None
    queue_timeout_seconds: Whole | None = None
    resume_streams: Flag | None = None
    extra_routes: tuple[ExtraRoute, ...] | None = Field(default=None, max_length=len(EXTRA_ROUTES))


def routing_of(request: RoutingRequest) -> Routing:
    """What `request` asks for; whether it makes sense is for the domain to say."""
    return Routing(
        balancing=request.balancing,
        prefix_chars=request.prefix_chars,
        session_header=request.session_header,
        concurrency_per_replica=request.concurrency_per_replica,
        queue_max=request.queue_max,
        queue_timeout_seconds=request.queue_timeout_seconds,
        resume_streams=request.resume_streams,
        extra_routes=_words(request.extra_routes),
    )


def patched_routing(before: Routing, patch: RoutingPatch | None) -> Routing:
    """`before` with `patch` applied; null gives a field, or all of them, the default back."""
    if patch is None:
        return _DEFAULT
    names = patch.model_fields_set

    def of(name: str, given: Value | None, kept: Value, default: Value) -> Value:
        if name not in names:
            return kept
        return default if given is None else given

    routes = None if patch.extra_routes is None else _words(patch.extra_routes)
    return Routing(
        balancing=of("balancing", patch.balancing, before.balancing, _DEFAULT.balancing),
        prefix_chars=of("prefix_chars", patch.prefix_chars, before.prefix_chars, _DEFAULT.prefix_chars),
        session_header=of(
            "session_header", patch.session_header, before.session_header, _DEFAULT.session_header
        ),
        concurrency_per_replica=of(
            "concurrency_per_replica", patch.concurrency_per_replica, before.concurrency_per_replica, None
        ),
        queue_max=of("queue_max", patch.queue_max, before.queue_max, None),
        queue_timeout_seconds=of(
            "queue_timeout_seconds", patch.queue_timeout_seconds, before.queue_timeout_seconds, None
        ),
        resume_streams=of(
            "resume_streams", patch.resume_streams, before.resume_streams, _DEFAULT.resume_streams
        ),
        extra_routes=of("extra_routes", routes, before.extra_routes, _DEFAULT.extra_routes),
    )


def _words(routes: tuple[ExtraRoute, ...]) -> tuple[str, ...]:
    return tuple(route.value for route in routes)
