"""`hostler up`: the whole stack on this machine, in the foreground or (`--detach`) in the background."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.supervisor import background
from hostler_cli.supervisor.conf_files import SYNC_ALWAYS
from hostler_cli.supervisor.launch import bring_up, say_on_stderr
from hostler_cli.supervisor.log_lines import render
from hostler_cli.supervisor.options import (
    API_PORT,
    ROUTER_PORT,
    START_TIMEOUT_SECONDS,
    BadOption,
    UpOptions,
    check_ports,
    check_sync,
    parse_scale,
)
from hostler_cli.supervisor.specs import service_names
from hostler_cli.supervisor.stack import StackHooks
from hostler_cli.supervisor.state_file import StackState

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="HOSTLER_DATA_DIR",
        file_okay=False,
        help="The folder that holds all of a stack: keys, log, model processes' files.",
    ),
]
DATA_DIR_DEFAULT = Path(".hostler")


def up(
    *,
    data_dir: DataDir = DATA_DIR_DEFAULT,
    detach: Annotated[
        bool,
        typer.Option("--detach", "-d", help="Return when everything is ready; it runs on in the background."),
    ] = False,
    api_port: Annotated[
        int, typer.Option(help="Port of the api on 127.0.0.1; 0 for any free one.")
    ] = API_PORT,
    router_port: Annotated[
        int, typer.Option(help="Port of the OpenAI-compatible endpoint; 0 for any free one.")
    ] = ROUTER_PORT,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVICE=COUNT", help="Run several of one service, such as router=2; repeatable."
        ),
    ] = None,
    sync: Annotated[
        str,
        typer.Option(
            envvar="HOSTLER_NATS_SYNC_INTERVAL",
            metavar="always|TIME",
            help="When NATS writes to disk: before it acknowledges (always), or every so often (such as 2m), which is "
            "faster and loses as much at a power cut.",
        ),
    ] = SYNC_ALWAYS,
    timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="Give up when not everything is ready by then.")
    ] = START_TIMEOUT_SECONDS,
) -> None:
    """Start NATS, Valkey and all services on this machine; Ctrl-C or `hostler down` stops them."""
    try:
        check_ports(api_port, router_port)
        options = UpOptions(
            data_dir=data_dir.expanduser().resolve(),
            api_port=api_port,
            router_port=router_port,
            scale=parse_scale(scale or []),
            start_timeout_seconds=timeout,
            sync_interval=check_sync(sync),
        )
    except BadOption as error:
        say_on_stderr(f"error: {error}")
        raise typer.Exit(ExitCode.USAGE) from None
    raise typer.Exit(_in_background(options) if detach else _in_foreground(options))


def _in_background(options: UpOptions) -> ExitCode:
    try:
        outcome = background.start(options, os.environ, say=say_on_stderr)
    except OSError as error:
        say_on_stderr(f"error: {error}")
        return ExitCode.FAILURE
    if isinstance(outcome, ExitCode):
        return outcome
    _print_urls(outcome)
    say_on_stderr(f"running in the background; stop it with `hostler down --data-dir {options.data_dir}`")
    return ExitCode.OK


def _in_foreground(options: UpOptions) -> ExitCode:
    names = [name for _, name in service_names(options)]
    width = max(len(name) for name in names)
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def show_log(name: str, line: str) -> None:
        say_on_stderr(render(name, line, width=width, colour=colour))

    try:
        return bring_up(
            options, os.environ, hooks=StackHooks(on_ready=_print_urls, say=say_on_stderr), show_log=show_log
        )
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _print_urls(state: StackState) -> None:
    print(f"api       {state.api_url}")
    print(f"router    {state.router_url}/v1")
    print(f"admin key {state.admin_key_file}", flush=True)
