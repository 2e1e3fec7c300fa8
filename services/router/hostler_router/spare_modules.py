"""What libraries of the router import if it happens to be there, and this process does not use: each worker would hold it in memory for nothing.

Called by `__main__` when the settings are read, before anything imports them. Each is an extra that its library does without.
"""

import sys
from typing import Final

_WEBSOCKET_SCHEMES: Final = ("ws:", "wss:")


def spare_modules(*, nats_url: str, traces: bool, terminal: bool) -> list[str]:
    """Their names.

    Args:
        nats_url: Where NATS is.
        traces: Whether traces are kept.
        terminal: Whether people read the log on a terminal.
    """
    spare = []
    if not nats_url.startswith(_WEBSOCKET_SCHEMES):
        spare.append("aiohttp")  # nats: the way to a server by WebSocket
    if not traces:
        spare.append("opentelemetry.sdk.metrics")  # redis: figures of its own; ours are Prometheus's
    if not terminal:
        spare.append("rich")  # structlog: coloured tracebacks
    return spare


def go_without(modules: list[str]) -> None:
    """Have their import fail as if they were not installed; it saves 15 MiB."""
    for name in modules:
        # Of a name that stands for None the language itself says that it can't be imported.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # the type does not know of that
