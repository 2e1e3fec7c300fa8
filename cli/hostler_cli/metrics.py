"""`hostler metrics JOB`: what a job, or one of its replicas, did over time, as lines with a small chart, JSON or CSV."""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hostler_cli.completion import job_names
from hostler_cli.located import located, open_client
from hostler_cli.output import print_columns, print_json, say

if TYPE_CHECKING:
    from hostler_client import JobMetrics  # for signatures; the client is loaded when the command runs

_BARS: Final = "\N{LOWER ONE EIGHTH BLOCK}\N{LOWER ONE QUARTER BLOCK}\N{LOWER THREE EIGHTHS BLOCK}\N{LOWER HALF BLOCK}\N{LOWER FIVE EIGHTHS BLOCK}\N{LOWER THREE QUARTERS BLOCK}\N{LOWER SEVEN EIGHTHS BLOCK}\N{FULL BLOCK}"
_GAP: Final = "\N{MIDDLE DOT}"
"""Not a space: cells of a table lose those."""


class MetricsFormat(StrEnum):
    """How to print series."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@located
def metrics(
    job: Annotated[
        str, typer.Argument(metavar="JOB", autocompletion=job_names, help="Id or name of the job.")
    ],
    *,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", "-n", help="Only this series, such as throughput_rps; again for more."),
    ] = None,
    since: Annotated[str, typer.Option(help="How far back: 30m, 6h, 7d.")] = "1h",
    samples: Annotated[int, typer.Option(min=1, max=1000, help="How many spans to divide that into.")] = 60,
    replica: Annotated[str | None, typer.Option(help="Of this replica alone, by its id.")] = None,
    project: Annotated[str | None, typer.Option(help="Project to look in; by default the key's own.")] = None,
    output: Annotated[
        MetricsFormat, typer.Option("--output", "-o", help="How to print.")
    ] = MetricsFormat.TABLE,
) -> None:
    """Show requests, errors, latencies, tokens and replicas over time. A time of which nothing is known is a dot."""
    back = span(since)
    with open_client() as client:
        found = client.jobs.metrics(
            job,
            names=names or (),
            start=datetime.now(UTC) - back,
            samples=samples,
            replica=replica,
            project=project,
        )
    if not found.complete:
        say(f"not complete: {found.reason}")
    match output:
        case MetricsFormat.JSON:
            print_json(found)
        case MetricsFormat.CSV:
            csv.writer(sys.stdout, lineterminator="\n").writerows(csv_rows(found))
        case MetricsFormat.TABLE:
            print_columns(("SERIES", "LAST", "MIN", "MEAN", "MAX", f"THE LAST {since}"), table_rows(found))


def span(
    text: str,
    option: str = "--since",
    *,
    least: timedelta = timedelta(seconds=1),
    most: timedelta = timedelta(days=100_000),
) -> timedelta:
    """`30m`, `6h`, `7d` as a length of time.

    Raises:
        typer.BadParameter: it is none, or shorter than `least`, or longer than `most`.
    """
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], units.get(text[-1:])
    if unit is None or not number.isascii() or not number.isdigit() or not 0 < int(number) < 100_000:
        raise typer.BadParameter("must be a number and one of s, m, h, d, such as 6h", param_hint=option)
    length = timedelta(**{unit: int(number)})
    if not least <= length <= most:
        raise typer.BadParameter(f"must be from {_span_text(least)} to {_span_text(most)}", param_hint=option)
    return length


def _span_text(length: timedelta) -> str:
    """As people write it: in the largest unit of which it is a whole number."""
    seconds = round(length.total_seconds())
    return next(
        f"{seconds // each}{unit}"
        for unit, each in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
        if seconds % each == 0
    )


def table_rows(found: "JobMetrics") -> Iterator[tuple[str, ...]]:
    """A line for each series."""
    for series in found.series:
        values = [sample.value for sample in series.samples]
        known = [value for value in values if value is not None]
        figures = (known[-1], min(known), sum(known) / len(known), max(known)) if known else (None,) * 4
        yield (series.name, *(figure(each) for each in figures), chart(values))


def csv_rows(found: "JobMetrics") -> Iterator[Sequence[str]]:
    """A line for each moment, a column for each series; a gap is an empty field."""
    yield ("at", *(series.name for series in found.series))
    for column in zip(*(series.samples for series in found.series), strict=True):
        yield (
            column[0].at.isoformat(),
            *("" if each.value is None else f"{each.value:g}" for each in column),
        )


def chart(values: Iterable[float | None]) -> str:
    """Bars as high as the values are, against the largest; a gap is a dot."""
    listed = list(values)
    top = max((value for value in listed if value is not None), default=0.0)
    steps = len(_BARS) - 1
    return "".join(
        _GAP if value is None else _BARS[round(value / top * steps) if top > 0 else 0] for value in listed
    )


def figure(value: float | None) -> str:
    """Four digits, and never fewer than those before the point."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
