"""The options that say where Hostler is, for every command that asks the API, and the client for that place.

A command is marked with `@located` and opens its client with `open_client()`; the options stand behind its own in the help.
"""

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec

from hostler_cli.context import ApiKeyFile, ApiUrl, DataDir, Flags, find

if TYPE_CHECKING:
    from hostler_client import HostlerClient  # loaded when a command runs, not when its options are declared

P = ParamSpec("P")

_OPTIONS: Final = {"api_url": ApiUrl, "api_key_file": ApiKeyFile, "data_dir": DataDir}
_given: ContextVar[Flags] = ContextVar("located", default=Flags())  # noqa: B039  # a frozen value


def located(command: Callable[P, None]) -> Callable[..., None]:
    """Give a command the options that say where Hostler is."""

    @wraps(command)
    def with_options(*args: P.args, **kwargs: P.kwargs) -> None:
        before = _given.set(_flags({name: kwargs.pop(name, None) for name in _OPTIONS}))
        try:
            command(*args, **kwargs)
        finally:
            _given.reset(before)

    own = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]
    # Typer reads a command's options off its signature.
    signature = own.replace(parameters=[*own.parameters.values(), *added])
    with_options.__signature__ = signature  # type: ignore[attr-defined]  # what inspect looks for
    with_options.__annotations__ = {**command.__annotations__, **_OPTIONS}
    return with_options


def open_client() -> "HostlerClient":
    """The client for the installation that the command was told to ask.

    Raises:
        CliError: it was not told, or what it was told can't be used.
    """
    connection = find(_given.get())
    from hostler_client import HostlerClient

    return HostlerClient.to(connection)


def _flags(given: Mapping[str, object]) -> Flags:
    def text(name: str) -> str | None:
        value = given[name]
        return value if isinstance(value, str) else None

    def path(name: str) -> Path | None:
        value = given[name]
        return value if isinstance(value, Path) else None

    return Flags(api_url=text("api_url"), api_key_file=path("api_key_file"), data_dir=path("data_dir"))
