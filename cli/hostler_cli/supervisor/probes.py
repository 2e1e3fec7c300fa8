"""Questions that tell whether a process is ready, and how each is put.

A probe answers yes or "not yet"; what the failure was is in the process's own log.
"""

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ready when a GET gives 200."""

    url: str


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Ready when a loopback port takes a connection."""

    port: int


@dataclass(frozen=True, slots=True)
class ValkeyProbe:
    """Ready when a PING on the socket gives PONG; while Valkey reads its file back it gives an error instead."""

    socket: Path


Probe = HttpProbe | TcpProbe | ValkeyProbe


async def all_pass(probes: tuple[Probe, ...]) -> bool:
    """Ask until one says "not yet"; a process without probes is ready when it runs."""
    for probe in probes:
        if not await asyncio.to_thread(passes, probe):
            return False
    return True


def passes(probe: Probe) -> bool:
    """Ask once. Blocks for at most about two seconds, on a loopback address usually under a millisecond."""
    try:
        match probe:
            case HttpProbe(url):
                return _get_status(url) == 200
            case TcpProbe(port):
                with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS):
                    return True
            case ValkeyProbe(path):
                return _ping(path)
    except OSError:
        return False


def _get_status(url: str) -> int:
    # Imported late, in the probe's own thread, while nats-server starts on another core.
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        return connection.getresponse().status
    except http.client.HTTPException:
        return 0
    finally:
        connection.close()


def _ping(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_TIMEOUT_SECONDS)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
