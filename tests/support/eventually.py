"""Waiting for what has to become true, with an end."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], *, timeout_seconds: float = 10.0) -> None:
    """Come back as soon as the condition holds; fail when it does not in time."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody when it happens
            await asyncio.sleep(0.01)
