"""`hostler context ...`: names for installations, and which of them commands talk to. What the names stand for is in `config_file`."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hostler_cli.completion import context_names
from hostler_cli.config_file import Config, Context, checked_name, config_path, load, save
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.output import DataFormat, DataOutput, print_columns, say

contexts_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Name installations, and choose between them."
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=context_names, help="Name of the context.")
]
_HEADINGS = ("IN USE", "NAME", "API", "ROUTER", "KEY")


@contexts_app.command("list")
def list_contexts(*, output: DataOutput = DataFormat.TABLE) -> None:
    """List contexts, and say which is in use. Keys are not shown."""
    config = load(config_path(os.environ))
    contexts = [config.contexts[name] for name in sorted(config.contexts)]
    if output is DataFormat.JSON:
        print(json.dumps([_document(config, each) for each in contexts], indent=2, ensure_ascii=False))
    elif contexts:
        print_columns(
            _HEADINGS,
            (_row(config, each) for each in contexts),
        )
    else:
        say("no contexts; `hostler context set NAME --api-url URL` makes one")


@contexts_app.command("set")
def set_context(
    name: Name,
    *,
    api_url: Annotated[str | None, typer.Option(metavar="URL", help="Where its API is.")] = None,
    router_url: Annotated[str | None, typer.Option(metavar="URL", help="Where its models answer.")] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the API key, which is read when a command needs it."),
    ] = None,
    api_key_stdin: Annotated[
        bool,
        typer.Option("--api-key-stdin", help="Read the API key from stdin and keep it in the configuration."),
    ] = False,
) -> None:
    """Make a context, or change one; what is not named stays."""
    from hostler_client.connection import base_url  # loads the client

    path = config_path(os.environ)
    config = load(path)
    context = config.contexts.get(checked_name(name), Context(name))
    if api_key_file and api_key_stdin:
        raise CliError("the key is in a file or comes from stdin: say one", code=ExitCode.USAGE)
    if api_url is not None:
        context = replace(context, api_url=base_url(api_url, "--api-url"))
    if router_url is not None:
        context = replace(context, router_url=base_url(router_url, "--router-url"))
    if api_key_file is not None:
        context = replace(context, api_key_file=str(api_key_file.expanduser().absolute()), api_key="")
    if api_key_stdin:
        context = replace(context, api_key_file="", api_key=_read_key())
    if not (context.api_url or context.router_url):
        raise CliError("a context needs an address: --api-url URL, or --router-url URL", code=ExitCode.USAGE)
    save(path, config.with_context(context))
    say(
        f"context {name} is set"
        + ("" if config.current == name else f"; `hostler context use {name}` puts it to use")
    )


@contexts_app.command("use")
def use_context(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", autocompletion=context_names, help="Name of the context."),
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="Use none: the stack of this machine again.")] = False,
) -> None:
    """Talk to this installation from now on, where neither options nor the environment name another."""
    if none == (name is not None):
        raise CliError("name a context, or say --none", code=ExitCode.USAGE)
    path = config_path(os.environ)
    config = load(path)
    save(path, Config(config.contexts, config.named(name).name if name else ""))
    say(f"commands talk to {name} now" if name else "no context is in use any more")


@contexts_app.command("remove")
def remove_context(name: Name) -> None:
    """Forget a context and the key in it; a key file stays."""
    path = config_path(os.environ)
    config = load(path)
    save(path, config.without(config.named(name).name))
    say(
        f"context {name} is removed"
        + (", which was in use: commands talk to the stack of this machine" * (config.current == name))
    )


def _row(config: Config, context: Context) -> tuple[str, ...]:
    in_use = "yes" if context.name == config.current else ""
    key = context.api_key_file or ("kept here" if context.api_key else "none")
    return (in_use, context.name, context.api_url, context.router_url, key)


def _document(config: Config, context: Context) -> dict[str, object]:
    return {
        "name": context.name,
        "in_use": context.name == config.current,
        "api_url": context.api_url or None,
        "router_url": context.router_url or None,
        "api_key_file": context.api_key_file or None,
        "has_key": bool(context.api_key),
    }


def _read_key() -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        key = getpass("API key: ")
    else:
        key = sys.stdin.readline()
    if not key.strip():
        raise CliError("--api-key-stdin: nothing came from stdin", code=ExitCode.USAGE)
    return key.strip()
