"""Questions that tell whether a process is ready, and how each is put.

A probe answers yes or "not yet"; what the failure was is in the process's own log.
"""

import asyncio
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_TIMEOUT_SECONDS: Final = 2.0
_BODY_BYTES_MAX: Final = 65536
LEADER: Final = "leader"
STANDING_BY: Final = "standing by"


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


def role(ops_url: str) -> str | None:
    """What a service process says about its lease: `leader` or `standing by`; None when it has none, or does not answer."""
    try:
        _, body = _get(f"{ops_url}/readyz")
    except OSError:
        return None
    return role_in(body)


def role_in(readiness: bytes) -> str | None:
    """The same, read from the answer of /readyz. Who leads anything leads."""
    try:
        checks = json.loads(readiness)["checks"].values()
        details = {check["detail"] for check in checks}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return next((each for each in (LEADER, STANDING_BY) if each in details), None)


def _get_status(url: str) -> int:
    return _get(url)[0]


def _get(url: str) -> tuple[int, bytes]:
    # Imported late, in the probe's own thread, while nats-server starts on another core.
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read(_BODY_BYTES_MAX)
    except http.client.HTTPException:
        return 0, b""
    finally:
        connection.close()


def _ping(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_TIMEOUT_SECONDS)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
