"""The options for limits on inference, for keys and for projects alike, and how limits are printed."""

from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError

if TYPE_CHECKING:
    # The client is loaded when a command runs, not when its options are declared.
    from hostler_client import Limits, NewLimits

NO_BOUND = "none"

Rpm = Annotated[int | None, typer.Option("--rpm", min=1, help="Requests per minute; no bound by default.")]
Tpm = Annotated[
    int | None,
    typer.Option("--tpm", min=1, help="Tokens per minute, of prompts and answers; no bound by default."),
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", min=1, help="Requests at once; no bound by default.")
]
RpmChange = Annotated[str | None, typer.Option("--rpm", metavar="NUMBER|none", help="Requests per minute.")]
TpmChange = Annotated[
    str | None,
    typer.Option("--tpm", metavar="NUMBER|none", help="Tokens per minute, of prompts and answers."),
]
ConcurrencyChange = Annotated[
    str | None, typer.Option("--concurrency", metavar="NUMBER|none", help="Requests at once.")
]


def new_limits(rpm: int | None, tpm: int | None, concurrency: int | None) -> "NewLimits | None":
    """Limits to send; None where nothing is bounded."""
    from hostler_client import NewLimits

    if rpm is None and tpm is None and concurrency is None:
        return None
    return NewLimits(requests_per_minute=rpm, tokens_per_minute=tpm, concurrency=concurrency)


def limit_changes(rpm: str | None, tpm: str | None, concurrency: str | None) -> dict[str, int | None]:
    """The bounds that were named, by the API's name."""
    given = (
        ("requests_per_minute", "--rpm", rpm),
        ("tokens_per_minute", "--tpm", tpm),
        ("concurrency", "--concurrency", concurrency),
    )
    return {field: bound(text, flag) for field, flag, text in given if text is not None}


def bound(text: str, flag: str) -> int | None:
    """A whole number as people write it, or `none`."""
    if text == NO_BOUND:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise CliError(f"{flag} {text}: a whole number, or {NO_BOUND}", code=ExitCode.USAGE)
    return int(text)


def limits_text(limits: "Limits | None") -> str:
    """For a table, such as `60 rpm, 8 at once`."""
    if limits is None:
        return NO_BOUND
    figures = (
        (limits.requests_per_minute, "rpm"),
        (limits.tokens_per_minute, "tpm"),
        (limits.concurrency, "at once"),
    )
    return ", ".join(f"{value} {unit}" for value, unit in figures if value is not None) or NO_BOUND
