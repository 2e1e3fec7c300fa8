"""What is said about where and before whom a job is placed, as options of several commands."""

from typing import Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_domain.priorities import PRIORITY_CLASSES

Priority = Annotated[
    str | None,
    typer.Option(
        metavar="0..150|CLASS", help=f"Who is placed first: a number, or {', '.join(PRIORITY_CLASSES)}."
    ),
]
Location = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SITE", help="Site that it must be in, any by default; repeatable, the preferred first."
    ),
]


def priority_of(given: str | None) -> int | str | None:
    """The priority as the API takes it.

    Raises:
        CliError: it is neither a number from 0 to 150 nor the name of a class.
    """
    if given is None or given in PRIORITY_CLASSES:
        return given
    if not given.isascii() or not given.isdigit() or int(given) > max(PRIORITY_CLASSES.values()):
        raise CliError(
            f"--priority {given}: write 0 to 150, or one of {', '.join(PRIORITY_CLASSES)}",
            code=ExitCode.USAGE,
        )
    return int(given)


def sites(given: list[str] | None) -> dict[str, str | tuple[str, ...]]:
    """The field of a request that says where; none for anywhere."""
    if not given:
        return {}
    return {"location": given[0]} if len(given) == 1 else {"locations": tuple(given)}
