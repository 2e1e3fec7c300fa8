"""Where a command finds Hostler: flags before environment variables before a context before the stack that runs on this machine.

| wanted | first | then | last |
|---|---|---|---|
| address | `--api-url`, `--router-url` | HOSTLER_API_URL, HOSTLER_ROUTER_URL | of the place |
| key | `--api-key-file` | HOSTLER_API_KEY, or the file that HOSTLER_API_KEY_FILE names | of the place |

The place is the first that is named of: `--data-dir` or `--context`, HOSTLER_CONTEXT, HOSTLER_DATA_DIR, the context in use, `.hostler`. A data folder
stands for the stack that runs on it (addresses from DIR/supervisor.json, key from DIR/admin.key), a context for what `hostler context set` was told.

`--data-dir` and `--context` name a place on purpose, so the environment is not asked then. The key of a place is sent to its own addresses and to
no other, and a place that lacks an address does not get that of another.
"""

import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.config_file import Config, Context, config_path, load
from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.supervisor.layout import DataLayout

if TYPE_CHECKING:
    # The client brings httpx2 and pydantic with it, half of a command's start-up time: loaded when it is used.
    from hostler_client import Connection

DATA_DIR_VARIABLE = "HOSTLER_DATA_DIR"
DATA_DIR_DEFAULT = ".hostler"
CONTEXT_VARIABLE = "HOSTLER_CONTEXT"
_KEY_VARIABLE = "HOSTLER_API_KEY"
_KEY_FILE_VARIABLE = "HOSTLER_API_KEY_FILE"
context_option: ContextVar[str | None] = ContextVar("context_option", default=None)
"""What `hostler --context NAME` was given: it stands before the command, which does not have it among its own options."""

ApiUrl = Annotated[
    str | None, typer.Option("--api-url", metavar="URL", help="Where the API is. [env var: HOSTLER_API_URL]")
]
RouterUrl = Annotated[
    str | None,
    typer.Option("--router-url", metavar="URL", help="Where models answer. [env var: HOSTLER_ROUTER_URL]"),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="File with the API key; not the key, which others would see among the processes. [env var: HOSTLER_API_KEY]",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Talk to the stack that `hostler up` runs on this folder. [env var: HOSTLER_DATA_DIR; default: .hostler]",
    ),
]


@dataclass(frozen=True, slots=True)
class Flags:
    """What was given on the command line."""

    api_url: str | None = None
    router_url: str | None = None
    api_key_file: Path | None = None
    data_dir: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class LocalStack:
    """What is known of the stack of a data folder: no address where none runs."""

    data_dir: Path
    api_url: str = ""
    router_url: str = ""
    api_key: str | None = field(default=None, repr=False)


def find(flags: Flags, *, needs_router: bool = False) -> "Connection":
    """The installation that a command is meant for.

    Raises:
        CliError: it was not said, or what was said can't be used.
    """
    flags = replace(flags, context=flags.context or context_option.get())
    environ = {} if flags.data_dir or flags.context else os.environ
    named = place_named(flags, os.environ, lambda: load(config_path(os.environ)))
    place = named if isinstance(named, Context) else _look_at_stack(named.expanduser().absolute())
    key_of_file = None
    if flags.api_key_file:
        key_of_file = _read_key(flags.api_key_file, "--api-key-file")
    elif not environ.get(_KEY_VARIABLE) and (file := environ.get(_KEY_FILE_VARIABLE)):
        key_of_file = _read_key(Path(file), _KEY_FILE_VARIABLE)
    elif not environ.get(_KEY_VARIABLE) and isinstance(place, Context) and place.api_key_file:
        key = _read_key(Path(place.api_key_file), f"the key file of the context {place.name}")
        place = replace(place, api_key=key)
    return choose(flags, environ, place, key_of_file, needs_router=needs_router)


def place_named(flags: Flags, environ: Mapping[str, str], config: Callable[[], Config]) -> Context | Path:
    """The context or the data folder that is meant, by the order above; the configuration is read where a context may be.

    Raises:
        CliError: two places were named, or there is no such context.
    """
    if flags.data_dir and flags.context:
        raise CliError("--data-dir and --context name two places: give one", code=ExitCode.USAGE)
    if flags.data_dir:
        return flags.data_dir
    if name := flags.context or environ.get(CONTEXT_VARIABLE):
        return config().named(name)
    if folder := environ.get(DATA_DIR_VARIABLE):
        return Path(folder)
    found = config()
    return found.named(found.current) if found.current else Path(DATA_DIR_DEFAULT)


def choose(
    flags: Flags,
    environ: Mapping[str, str],
    place: LocalStack | Context,
    key_of_file: str | None,
    *,
    needs_router: bool,
) -> "Connection":
    """Pick address and key by the table above. Pure."""
    from hostler_client.connection import Connection, base_url

    api_url = flags.api_url or environ.get("HOSTLER_API_URL") or ""
    router_url = flags.router_url or environ.get("HOSTLER_ROUTER_URL") or ""
    wanted, flag, variable, local = (
        (router_url, "--router-url", "HOSTLER_ROUTER_URL", place.router_url)
        if needs_router
        else (api_url, "--api-url", "HOSTLER_API_URL", place.api_url)
    )
    if local and isinstance(place, Context):
        local = base_url(local, f"the address in the context {place.name}")
    if wanted:
        wanted = base_url(wanted, f"{flag} ({variable})")
    elif not local:
        raise _nowhere(place, flag, variable)
    address = wanted or local
    key = key_of_file or environ.get(_KEY_VARIABLE, "").strip() or None
    if key is None and address == local:
        key = place.api_key or None
    if key is None and not needs_router:
        raise CliError(
            f"no API key for {address}",
            code=ExitCode.AUTH,
            hint="set HOSTLER_API_KEY, or give --api-key-file FILE",
        )
    if needs_router:
        return Connection(api_url=api_url, api_key=key, router_url=address)
    return Connection(api_url=address, api_key=key, router_url=router_url or place.router_url or None)


def _nowhere(place: LocalStack | Context, flag: str, variable: str) -> CliError:
    if isinstance(place, Context):
        return CliError(
            f"the context {place.name} has no address for this",
            code=ExitCode.USAGE,
            hint=f"`hostler context set {place.name} {flag} URL` gives it one",
        )
    return CliError(
        f"no Hostler to talk to: no stack runs on {place.data_dir}, and {variable} is not set",
        hint=f"start one with `hostler up --detach`, set {variable} and HOSTLER_API_KEY, or choose a context (`hostler context use NAME`)",
    )


def _look_at_stack(data_dir: Path) -> LocalStack:
    layout = DataLayout(data_dir)
    if not layout.state_file.exists():
        return LocalStack(data_dir)
    from hostler_cli.supervisor.state_file import is_alive, read_state  # psutil, only where a stack may run

    state = read_state(layout.state_file)
    if state is None or not is_alive(state.supervisor_pid, state.supervisor_create_time):
        return LocalStack(data_dir)
    try:
        key = layout.admin_key_file.read_text(encoding="utf-8").strip() or None
    except OSError:
        key = None  # another user's stack: the address is known, the key has to come from elsewhere
    return LocalStack(data_dir, state.api_url, state.router_url, key)


def _read_key(path: Path, named_by: str) -> str:
    try:
        key = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{named_by} {path} can't be read: {error}", code=ExitCode.USAGE) from None
    if not key:
        raise CliError(f"{named_by} {path} is empty", code=ExitCode.USAGE)
    return key
