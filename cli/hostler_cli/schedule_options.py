"""`--schedule`: windows of narrower bounds as they are typed; `deploy` and `update` share it."""

import re
from typing import Annotated, Final

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.metrics import span

Schedule = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'CRON; HOW LONG; BOUNDS; ZONE'",
        help="While a window is open, narrower bounds: '0 8 * * 1-5; 10h; 4..8; Europe/Berlin'. Bounds may be 4.. or ..8, the zone is UTC by default; repeatable.",
    ),
]
ScheduleChange = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'CRON; HOW LONG; BOUNDS; ZONE'",
        help="All windows of narrower bounds, such as '0 8 * * 1-5; 10h; 4..8; Europe/Berlin'; repeatable, '' takes all away.",
    ),
]

_BOUNDS: Final = re.compile(r"(\d{0,5})\.\.(\d{0,5})", re.ASCII)


def windows(given: list[str] | None) -> list[dict[str, object]] | None:
    """The windows as the client's fields; an empty text stands for none.

    Raises:
        CliError: one can't be read.
    """
    return None if given is None else [_window(text) for text in given if text.strip()]


def _window(text: str) -> dict[str, object]:
    parts = [part.strip() for part in text.split(";")]
    bounds = _BOUNDS.fullmatch(parts[2]) if len(parts) in (3, 4) else None
    if bounds is None or not any(bounds.groups()):
        raise CliError(
            f"--schedule {text!r} can't be read",
            code=ExitCode.USAGE,
            hint="write '0 8 * * 1-5; 10h; 4..8; Europe/Berlin'",
        )
    try:
        duration = span(parts[1])
    except typer.BadParameter as error:
        raise CliError(f"--schedule {text!r}: {parts[1]!r} {error.message}", code=ExitCode.USAGE) from None
    lowest, highest = bounds.groups()
    return {
        "start": parts[0],
        "duration_seconds": int(duration.total_seconds()),
        "time_zone": parts[3] if len(parts) == 4 else "UTC",
        "min_replicas": int(lowest) if lowest else None,
        "max_replicas": int(highest) if highest else None,
    }
