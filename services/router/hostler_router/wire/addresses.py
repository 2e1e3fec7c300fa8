"""Where a replica listens, read once from its address.

Pure; called by the pool for addresses that it has not seen yet.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class BadAddress(ValueError):
    """It is no http:// or https:// address."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server.

    Attributes:
        host: Name or number.
        port: TCP port.
        tls: What an encrypted connection is made with; None for a plain one.
        base: Path before every route, without the last slash.
        host_line: The `host` header.
        begins: How heads of requests to it begin, by route; for whoever writes them.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    base: bytes
    host_line: bytes
    begins: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)


def read_address(url: str) -> Address:
    """The server that `url` names.

    Raises:
        BadAddress: it names none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress(str(error)) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadAddress(f"{url!r} is no http:// or https:// address")
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    base = parts.path.rstrip("/")
    shown = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if not f"{base}{shown}".isascii() or any(c.isspace() for c in base + shown):
        raise BadAddress(f"{url!r} has characters that don't belong into an address")
    return Address(
        parts.hostname,
        port or (443 if tls else 80),
        tls,
        base.encode(),
        f"host: {shown if port is None else f'{shown}:{port}'}\r\n".encode(),
    )
