"""The commands about the stack on this machine, for `app` to register."""

import typer

from hostler_cli.doctor import doctor
from hostler_cli.down import down
from hostler_cli.status import status
from hostler_cli.up import up


def register(app: typer.Typer) -> None:
    """Add `up`, `down`, `status` and `doctor`."""
    for command in (up, down, status, doctor):
        app.command()(command)
