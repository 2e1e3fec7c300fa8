"""The loop that every deciding service turns: wait until something may have changed, look at the whole, act, again.

`note()` wakes it; many notes while it works are one more round, not many. Without a note it looks again after the resync
period, which repairs what a lost wake-up missed.
"""

import asyncio
from collections.abc import Awaitable, Callable

from hostler_domain.errors import TemporaryError
from hostler_kit.logs import Logger

_BACKOFF_SECONDS_MAX = 10.0


class Reconciler:
    """Runs one step at a time, as often as needed and no more."""

    def __init__(
        self, step: Callable[[], Awaitable[float | None]], *, resync_seconds: float, logger: Logger
    ) -> None:
        """Make a loop around `step`.

        Args:
            step: One look and its actions; gives the seconds after which it wants to look again at the latest, or None.
            resync_seconds: Longest time without a look.
            logger: For what goes wrong.
        """
        self._step = step
        self._resync_seconds = resync_seconds
        self._logger = logger
        self._woken = asyncio.Event()

    def note(self) -> None:
        """Something may have changed: look again soon."""
        self._woken.set()

    async def run(self) -> None:
        """Turn until cancelled."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                wanted = await self._step()
                failures = 0
                pause = self._resync_seconds if wanted is None else min(wanted, self._resync_seconds)
            except TemporaryError as error:
                failures += 1
                pause = error.delay_seconds
                self._logger.warning("reconcile.retry", reason=str(error), delay_seconds=pause)
            except Exception:  # the outermost loop: a bug in one round must not end the service
                failures += 1
                pause = min(0.1 * 2**failures, _BACKOFF_SECONDS_MAX)
                self._logger.exception("reconcile.failed", delay_seconds=pause)
            if failures:
                await asyncio.sleep(pause)
                continue
            try:
                async with asyncio.timeout(max(pause, 0)):
                    await self._woken.wait()
            except TimeoutError:
                pass
