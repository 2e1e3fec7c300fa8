"""The options of `hostler deploy` and `hostler jobs update` about a job's routing, and what is sent for them."""

from typing import Annotated

import typer

from hostler_domain.routing import EXTRA_ROUTES, Balancing, ExtraRoute

NOTHING = "none"
"""What `--allow` takes to take every extra route away."""

BalancingOption = Annotated[
    Balancing | None,
    typer.Option(
        help="How a replica is picked: the least busy one, or one that knows the prompt or the session."
    ),
]
PrefixChars = Annotated[
    int | None,
    typer.Option(min=1, metavar="CHARS", help="With --balancing prefix: so much of the messages counts."),
]
SessionHeader = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="With --balancing session: the header that names the session."),
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, metavar="REQUESTS", help="Under way on one replica, at most.")
]
Queue = Annotated[
    int | None, typer.Option(min=0, metavar="REQUESTS", help="That may wait for a replica at once.")
]
QueueTimeout = Annotated[
    int | None, typer.Option(min=0, metavar="SECONDS", help="How long a request may wait for a replica.")
]
DEFAULT = "default"
"""What gives a bound back to the router."""
ConcurrencyChange = Annotated[
    str | None,
    typer.Option(
        "--concurrency", metavar="REQUESTS|default", help="Under way on one replica, at most; from 1."
    ),
]
QueueChange = Annotated[
    str | None,
    typer.Option("--queue", metavar="REQUESTS|default", help="That may wait for a replica at once."),
]
QueueTimeoutChange = Annotated[
    str | None,
    typer.Option(
        "--queue-timeout", metavar="SECONDS|default", help="How long a request may wait for a replica."
    ),
]
Resume = Annotated[
    bool | None,
    typer.Option(
        "--resume/--no-resume", help="Whether a stream whose replica died goes on with another one."
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROUTE",
        help=f"A route beside the standard ones: {', '.join(EXTRA_ROUTES)}; repeatable. `{NOTHING}` takes all away.",
    ),
]


def routing_fields(
    *,
    balancing: Balancing | None,
    prefix_chars: int | None,
    session_header: str | None,
    concurrency: int | None = None,
    queue: int | None = None,
    queue_timeout: int | None = None,
    resume: bool | None,
    allow: list[str] | None,
) -> dict[str, object]:
    """What was given, by the API's names.

    Raises:
        typer.BadParameter: a route is not one that a job can allow.
    """
    given: dict[str, object] = {
        "balancing": balancing,
        "prefix_chars": prefix_chars,
        "session_header": None if session_header is None else session_header.lower(),
        "concurrency_per_replica": concurrency,
        "queue_max": queue,
        "queue_timeout_seconds": queue_timeout,
        "resume_streams": resume,
        "extra_routes": _routes(allow),
    }
    return {name: value for name, value in given.items() if value is not None}


def bound_changes(
    *, concurrency: str | None, queue: str | None, queue_timeout: str | None
) -> dict[str, int | None]:
    """The bounds that were named, by the API's name; None for those that the router is to choose again.

    Raises:
        typer.BadParameter: one is no number from its least on.
    """
    given = (
        ("concurrency_per_replica", "--concurrency", concurrency, 1),
        ("queue_max", "--queue", queue, 0),
        ("queue_timeout_seconds", "--queue-timeout", queue_timeout, 0),
    )
    return {name: _bound(text, flag, least) for name, flag, text, least in given if text is not None}


def _bound(text: str, flag: str, least: int) -> int | None:
    if text == DEFAULT:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise typer.BadParameter(f"a whole number from {least}, or {DEFAULT}", param_hint=flag)
    return int(text)


def _routes(allow: list[str] | None) -> tuple[ExtraRoute, ...] | None:
    if not allow:
        return None
    if allow == [NOTHING]:
        return ()
    try:
        return tuple(dict.fromkeys(ExtraRoute(route) for route in allow))
    except ValueError:
        raise typer.BadParameter(
            f"must be of {', '.join(EXTRA_ROUTES)}, or {NOTHING} alone", param_hint="--allow"
        ) from None
