"""A few threads that compute, and a line before them that is not endless.

The server hands every transcription to `run`. A thread can't be interrupted, so one whose client is gone keeps its place until
it notices, and the place is given back by the thread's end and not by the client's.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ResultT = TypeVar("ResultT")


class Busy(Exception):
    """The line is full."""


class Workers:
    """Runs what blocks.

    Attributes:
        running: How many calls are at work.
        waiting: How many wait for a thread.
    """

    def __init__(self, count: int, *, queue_length_max: int) -> None:
        self._slots = asyncio.Semaphore(count)
        self._queue_length_max = queue_length_max
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self.running = 0
        self.waiting = 0

    async def run(self, call: Callable[[Callable[[], bool]], ResultT]) -> ResultT:
        """What `call` gives; it is told how to ask whether anybody still waits for it.

        Raises:
            Busy: too many wait already.
        """
        if self._slots.locked() and self.waiting >= self._queue_length_max:
            raise Busy
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        gone = threading.Event()
        self.running += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, call, gone.is_set)
        future.add_done_callback(self._ended)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            gone.set()
            raise

    def _ended(self, future: "asyncio.Future[ResultT]") -> None:
        self.running -= 1
        self._slots.release()
        if not future.cancelled():
            future.exception()  # of an abandoned call nobody else asks for it
