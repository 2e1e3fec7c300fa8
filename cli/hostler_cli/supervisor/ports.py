"""Choosing free loopback ports, and telling who holds a port that a user asked for."""

import random
import socket
from collections.abc import Collection
from typing import Final

_LOWEST: Final = 20_000
_HIGHEST: Final = 32_000
"""Below the range from which Linux and macOS take the local ends of outgoing connections, so that no connection of a
neighbour sits on a port between its choice and its use."""


def choose_free_ports(count: int, *, rng: random.Random, avoid: Collection[int] = ()) -> tuple[int, ...]:
    """Give distinct ports that nobody listens on just now."""
    chosen: list[int] = []
    for port in rng.sample(range(_LOWEST, _HIGHEST), _HIGHEST - _LOWEST):
        if len(chosen) == count:
            break
        if port not in avoid and is_free(port):
            chosen.append(port)
    if len(chosen) < count:
        raise OSError(f"no {count} free ports between {_LOWEST} and {_HIGHEST} on 127.0.0.1")
    return tuple(chosen)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now; closing connections of an earlier one don't count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    # macOS lets two sockets bind where one listens on all addresses; a connection tells.
    with socket.socket() as caller:
        caller.settimeout(0.2)
        return caller.connect_ex(("127.0.0.1", port)) != 0


def listener_of(port: int) -> str:
    """Describe the process that listens on a port, as far as this user may know."""
    import psutil  # only asked when a port is taken

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return "another process"
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
            continue
        if connection.laddr.port == port:
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f"pid {connection.pid}"
    return "another process"
