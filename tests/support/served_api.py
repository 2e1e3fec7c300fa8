"""An api that really listens: the real parts on a memory bus, in a thread with a loop of its own, on a port of loopback."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from hostler_api.bootstrap import write_admin_key, write_shipped_catalogue
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_kit.clock import SystemClock
from hostler_kit.http import HttpServer
from tests.support.api import running_api
from tests.support.recorded_history import RecordedHistory

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0


@contextmanager
def served_api(admin_key: str, at: datetime) -> Iterator[str]:
    """Serve an api with the shipped catalogue; gives its address.

    Args:
        admin_key: The first key.
        at: When it was made.
    """
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    listening = threading.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        bus = MemoryBus(MemoryServer(clock=SystemClock()))
        await write_shipped_catalogue(bus, at)
        await write_admin_key(bus, admin_key, at)
        async with running_api(bus, history=RecordedHistory()) as api:
            server = HttpServer(api.app, host="127.0.0.1", port=0, drain_timeout_seconds=1)
            await server.start()
            port = server.port
            listening.set()
            await stopping.wait()
            await server.stop()
            await bus.drain()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="api", daemon=True)
    thread.start()
    try:
        assert listening.wait(START_TIMEOUT_SECONDS), "the api does not listen"
        yield f"http://127.0.0.1:{port}"
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stopping.set)
        thread.join(STOP_TIMEOUT_SECONDS)
