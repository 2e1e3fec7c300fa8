"""Waiting for what has to become true, with an end."""

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], *, timeout_seconds: float = 10.0) -> None:
    """Come back as soon as the condition holds; fail when it does not in time."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody when it happens
            await asyncio.sleep(0.01)


def eventually_blocking(condition: Callable[[], bool], *, timeout_seconds: float = 10.0) -> None:
    """The same outside an event loop."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not become true in time")
        time.sleep(0.01)
