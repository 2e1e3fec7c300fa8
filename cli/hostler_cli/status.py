"""`hostler status`: what runs on a data folder, checked against the processes that really live."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.supervisor import background
from hostler_cli.supervisor.launch import say_on_stderr
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.probes import role
from hostler_cli.supervisor.state_file import ProcessState, StackState
from hostler_cli.up import DATA_DIR_DEFAULT, DataDir


class OutputFormat(StrEnum):
    """How a command prints its data."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print the data.")]


def status(*, data_dir: DataDir = DATA_DIR_DEFAULT, output: Output = OutputFormat.TABLE) -> None:
    """Show the processes of a stack; ends with 0 when all are ready, 1 when not, 3 when nothing runs there."""
    layout = DataLayout(data_dir.expanduser().resolve())
    state, lives = background.look(layout)
    roles = _roles(state) if state is not None else {}
    if output is OutputFormat.JSON:
        print(json.dumps(status_document(layout, state, roles), indent=2))
    elif state is not None:
        _print_table(state, roles)
    if not lives:
        say_on_stderr(f"nothing runs on {layout.data_dir}; start it with `hostler up`")
        raise typer.Exit(ExitCode.NOT_FOUND)
    raise typer.Exit(ExitCode.OK if state is not None and state.ready else ExitCode.FAILURE)


def _roles(state: StackState) -> dict[str, str]:
    """By process name, who leads and who stands by; all are asked at once."""
    asked = [each for each in state.processes if each.ops_url and each.state is ProcessState.READY]
    with ThreadPoolExecutor(max_workers=max(len(asked), 1)) as pool:
        answers = pool.map(role, [each.ops_url or "" for each in asked])
    return {each.name: answer for each, answer in zip(asked, answers, strict=True) if answer is not None}


def status_document(
    layout: DataLayout, state: StackState | None, roles: Mapping[str, str] = MappingProxyType({})
) -> dict[str, object]:
    """Give what scripts read; the same keys whether something runs or not."""
    if state is None:
        return {
            "api_url": None,
            "router_url": None,
            "nats_url": None,
            "valkey_url": None,
            "ready": False,
            "data_dir": str(layout.data_dir),
            "admin_key_file": str(layout.admin_key_file),
            "supervisor_pid": None,
            "processes": [],
        }
    document = asdict(state)
    for process in document["processes"]:
        process["role"] = roles.get(process["name"])
    del document["supervisor_create_time"]
    return document


def _print_table(state: StackState, roles: Mapping[str, str]) -> None:
    from rich.console import Console  # half of a command's start-up time, needed for tables alone
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("PROCESS", "STATE", "ROLE", "PID", "RESTARTS", "OPERATIONS"):
        table.add_column(column)
    for record in state.processes:
        pid = str(record.pid) if record.pid else "-"
        table.add_row(
            record.name,
            record.state,
            roles.get(record.name, "-"),
            pid,
            str(record.restarts),
            record.ops_url or "-",
        )
    console = Console()
    console.print(table)
    console.print(f"api {state.api_url}  router {state.router_url}/v1", highlight=False, soft_wrap=True)
    console.print(f"admin key {state.admin_key_file}", highlight=False, soft_wrap=True)
