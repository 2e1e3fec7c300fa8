"""What connects a worker with the process that started it: a pair of sockets, of which each has one end.

The worker tells where its ops port is and when it serves, each in a line of JSON. The parent says nothing: it holds its end open,
and when that closes the parent is gone, so that no worker outlives it for longer than its requests take. `__main__` uses `Upward`,
`worker` reads what it says.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FD_VARIABLE: Final = "HOSTLER_ROUTER_WORKER_FD"
"""Environment variable with the number of the worker's end; set by a parent alone."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker said last."""

    ops_port: int
    serves: bool


def read_report(line: bytes) -> Report:
    """The line that `Upward` wrote.

    Raises:
        ValueError: it is none.
    """
    said = json.loads(line)
    match said:
        case {"ops_port": int(ops_port), "serves": bool(serves)}:
            return Report(ops_port, serves)
        case _:
            raise ValueError(f"a worker said {said!r}")


class Upward:
    """A worker's end."""

    def __init__(self, connection: socket.socket, on_parent_gone: Callable[[], None]) -> None:
        self._connection = connection
        self._on_parent_gone = on_parent_gone
        connection.setblocking(False)
        asyncio.get_running_loop().add_reader(connection, self._readable)

    def tell(self, report: Report) -> None:
        """Say where we are. Two short lines in a process's life, so the socket has room for them."""
        line = json.dumps({"ops_port": report.ops_port, "serves": report.serves}).encode() + b"\n"
        try:
            self._connection.send(line)
        except OSError:  # the parent is gone, which `_readable` sees
            return

    def _readable(self) -> None:
        try:
            if self._connection.recv(64):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # as good as closed
        asyncio.get_running_loop().remove_reader(self._connection)
        self._on_parent_gone()


def upward(on_parent_gone: Callable[[], None]) -> Upward | None:
    """The connection to the parent; None in a process that has none. `on_parent_gone` is called at most once."""
    number = os.environ.pop(FD_VARIABLE, "")
    if not number.isdecimal():
        return None
    return Upward(socket.socket(fileno=int(number)), on_parent_gone)
