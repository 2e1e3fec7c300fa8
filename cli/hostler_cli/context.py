"""Where a command finds Hostler: flags before environment variables before the stack that runs on this machine.

| wanted | first | then | last |
|---|---|---|---|
| address | `--api-url`, `--router-url` | HOSTLER_API_URL, HOSTLER_ROUTER_URL | DIR/supervisor.json |
| key | `--api-key-file` | HOSTLER_API_KEY, or the file that HOSTLER_API_KEY_FILE names | DIR/admin.key |

`--data-dir` names a stack on purpose, so the environment is not asked then. The stack's own admin key is sent to the stack's
own addresses and to no other.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hostler_cli.exit_codes import ExitCode
from hostler_cli.failures import CliError
from hostler_cli.supervisor.layout import DataLayout

if TYPE_CHECKING:
    # The client brings httpx2 and pydantic with it, half of a command's start-up time: loaded when it is used.
    from hostler_client import Connection

DATA_DIR_VARIABLE = "HOSTLER_DATA_DIR"
DATA_DIR_DEFAULT = ".hostler"
_KEY_VARIABLE = "HOSTLER_API_KEY"
_KEY_FILE_VARIABLE = "HOSTLER_API_KEY_FILE"

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


@dataclass(frozen=True, slots=True)
class LocalStack:
    """What is known of the stack of a data folder."""

    data_dir: Path
    api_url: str = ""
    router_url: str = ""
    api_key: str | None = field(default=None, repr=False)
    lives: bool = False


def find(flags: Flags, *, needs_router: bool = False) -> "Connection":
    """The installation that a command is meant for.

    Raises:
        CliError: it was not said, or what was said can't be used.
    """
    data_dir = flags.data_dir or Path(os.environ.get(DATA_DIR_VARIABLE) or DATA_DIR_DEFAULT)
    stack = _look_at_stack(data_dir.expanduser().absolute())
    environ = {} if flags.data_dir else os.environ
    key_of_file = None
    if flags.api_key_file:
        key_of_file = _read_key(flags.api_key_file, "--api-key-file")
    elif not environ.get(_KEY_VARIABLE) and (named := environ.get(_KEY_FILE_VARIABLE)):
        key_of_file = _read_key(Path(named), _KEY_FILE_VARIABLE)
    return choose(flags, environ, stack, key_of_file, needs_router=needs_router)


def choose(
    flags: Flags,
    environ: Mapping[str, str],
    stack: LocalStack,
    key_of_file: str | None,
    *,
    needs_router: bool,
) -> "Connection":
    """Pick address and key by the table above. Pure."""
    from hostler_client.connection import Connection, base_url

    api_url = flags.api_url or environ.get("HOSTLER_API_URL") or ""
    router_url = flags.router_url or environ.get("HOSTLER_ROUTER_URL") or ""
    wanted, flag, variable, local = (
        (router_url, "--router-url", "HOSTLER_ROUTER_URL", stack.router_url)
        if needs_router
        else (api_url, "--api-url", "HOSTLER_API_URL", stack.api_url)
    )
    if wanted:
        wanted = base_url(wanted, f"{flag} ({variable})")
    elif not stack.lives:
        raise CliError(
            f"no Hostler to talk to: no stack runs on {stack.data_dir}, and {variable} is not set",
            hint=f"start one with `hostler up --detach`, or set {variable} and HOSTLER_API_KEY",
        )
    address = wanted or local
    key = key_of_file or environ.get(_KEY_VARIABLE, "").strip() or None
    if key is None and address == local:
        key = stack.api_key
    if key is None and not needs_router:
        raise CliError(
            f"no API key for {address}",
            code=ExitCode.AUTH,
            hint="set HOSTLER_API_KEY, or give --api-key-file FILE",
        )
    if needs_router:
        return Connection(api_url=api_url, api_key=key, router_url=address)
    return Connection(api_url=address, api_key=key, router_url=router_url or stack.router_url or None)


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
    return LocalStack(data_dir, state.api_url, state.router_url, key, lives=True)


def _read_key(path: Path, named_by: str) -> str:
    try:
        key = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{named_by} {path} can't be read: {error}", code=ExitCode.USAGE) from None
    if not key:
        raise CliError(f"{named_by} {path} is empty", code=ExitCode.USAGE)
    return key
