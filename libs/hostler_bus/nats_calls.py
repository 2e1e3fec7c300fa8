"""Awaiting the NATS library. Only the other `nats_*` modules use it.

Its requests go through `asyncio.wait_for`, which in Python 3.11 forgets a cancellation that comes at the moment of the answer,
and its flushing catches cancellations and goes on. A task that was told to stop would run on for ever, so every call of the
library is awaited through `heed`.
"""

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Flushable(Protocol):
    """What is needed of a client."""

    async def flush(self) -> None:
        """Send a ping and wait for its answer."""
        ...


async def heed(call: Awaitable[T]) -> T:
    """What `call` gives, unless this task was cancelled meanwhile; then the cancellation, whatever became of it."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await call
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def settle(client: Flushable) -> None:
    """Come back when the server has done everything that was sent to it before.

    The library writes the ping of a flush ahead of commands that still wait in its buffer, so its answer says nothing about
    those; it comes after they have left the buffer, though, and a second one says it of them.
    """
    await heed(client.flush())
    await heed(client.flush())
