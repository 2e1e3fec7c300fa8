"""`hostler down`: end the stack of a data folder, and whatever an earlier run may have left of it."""

from typing import Annotated

import typer

from hostler_cli.supervisor import background
from hostler_cli.supervisor.launch import say_on_stderr
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.up import DATA_DIR_DEFAULT, DataDir


def down(
    *,
    data_dir: DataDir = DATA_DIR_DEFAULT,
    timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="How long to wait for the last process to end.")
    ] = 120.0,
) -> None:
    """Stop the stack and wait until all of its processes are gone; jobs and data stay for the next `up`."""
    layout = DataLayout(data_dir.expanduser().resolve())
    raise typer.Exit(background.stop(layout, timeout_seconds=timeout, say=say_on_stderr))
