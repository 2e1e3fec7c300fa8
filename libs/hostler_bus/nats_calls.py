"""Awaiting the NATS library. Only the other `nats_*` modules use it.

Its requests go through `asyncio.wait_for`, which in Python 3.11 forgets a cancellation that comes at the moment of the answer,
and its flushing catches cancellations and goes on. A task that was told to stop would run on for ever, so every call of the
library is awaited through `heed`.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def heed(call: Awaitable[T]) -> T:
    """What `call` gives, unless this task was cancelled meanwhile; then the cancellation, whatever became of it."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await call
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
