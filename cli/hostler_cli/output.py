"""Data goes to stdout, talk to stderr. Columns are made for people and for `awk` alike: never cut, never boxed."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel  # for a signature; loading it takes time that many commands don't need


class OutputFormat(StrEnum):
    """How a command prints its data."""

    TABLE = "table"
    JSON = "json"
    NAME = "name"
    ID = "id"


class DataFormat(StrEnum):
    """How a command prints data that has no name of its own."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print jobs.")]
DataOutput = Annotated[DataFormat, typer.Option("--output", "-o", help="How to print the data.")]


def say(text: str) -> None:
    """Tell people something."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: "BaseModel | Sequence[BaseModel]") -> None:
    """Print data as the API gave it."""
    document = (
        [each.model_dump(mode="json") for each in value]
        if isinstance(value, Sequence)
        else value.model_dump(mode="json")
    )
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    for line in columns(headings, rows):
        print(line)


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table whose columns are as wide as they need; line breaks inside a cell become spaces."""
    table = [tuple(headings), *(tuple(" ".join(cell.split()) or "-" for cell in row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(headings))]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
