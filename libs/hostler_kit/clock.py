"""The time, as something that is handed in.

Shells take a `Clock` so that a test can say what time it is. Pure code takes `now` as a value and never sees a clock.
"""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """The time of day, with its zone, which is UTC. It may jump; never subtract two of these for a timeout."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Come back after `seconds`; zero or less still lets others run."""
        ...


class SystemClock:
    """The machine's own clock.

    The router asks it ten times for each request, so what answers is C's own functions and no method around them.
    """

    now = staticmethod(partial(datetime.now, UTC))
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)
