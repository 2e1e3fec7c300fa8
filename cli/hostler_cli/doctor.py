"""`hostler doctor`: is this machine fit to run a stack, and is the one that runs well; one line per question."""

import dataclasses
import json
import os
from collections.abc import Iterable
from typing import Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.status import Output, OutputFormat
from hostler_cli.supervisor.checks import Check, Verdict, machine_checks, stack_checks
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.options import API_PORT, ROUTER_PORT
from hostler_cli.up import DATA_DIR_DEFAULT, DataDir


def doctor(
    *,
    data_dir: DataDir = DATA_DIR_DEFAULT,
    api_port: Annotated[int, typer.Option(help="The api's port that `up` shall have.")] = API_PORT,
    router_port: Annotated[int, typer.Option(help="The router's port that `up` shall have.")] = ROUTER_PORT,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Check this machine and the stack that runs on it; ends with 1 when a check fails."""
    layout = DataLayout(data_dir.expanduser().resolve())
    checks = [
        *machine_checks(layout, os.environ),
        *stack_checks(layout, (("--api-port", api_port), ("--router-port", router_port))),
    ]
    if output is OutputFormat.JSON:
        print(json.dumps({"checks": [dataclasses.asdict(check) for check in checks]}, indent=2))
    else:
        _print_lines(checks)
    failed = any(check.verdict is Verdict.FAIL for check in checks)
    raise typer.Exit(ExitCode.FAILURE if failed else ExitCode.OK)


def _print_lines(checks: Iterable[Check]) -> None:
    for check in checks:
        print(f"{check.verdict:<4}  {check.name:<16} {check.found}")
        if check.remedy:
            print(f"{'':<22} -> {check.remedy}")
