"""Whether Valkey can be relied upon for limits: how long it takes, the breaker, and trying again. Called by `limits` alone.

A request waits for Valkey's time and not for this router's own: where the event loop is busy, an answer that has come lies unread for some of
its turns, and those are not held against Valkey.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from hostler_kit.breaker import Breaker, BreakerState
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_kit.valkey import ValkeyUnavailable
from hostler_router.limits_held import LimitCounts
from hostler_router.limits_store import LimitStore

BREAKER_FAILURES_MAX: Final = 3
BREAKER_REST_SECONDS: Final = 1.0
_TURNS_MAX: Final = 6
"""Of the event loop, that a round trip takes beside Valkey's own time."""


class StoreLink:
    """The way to Valkey, if there is one."""

    def __init__(
        self,
        store: LimitStore | None,
        *,
        clock: Clock,
        timeout_seconds: float,
        logger: Logger,
        counts: LimitCounts,
        overdue: Callable[[], bool],
        breaker: Breaker | None,
    ) -> None:
        """Trust it at first.

        Args:
            store: None where there is none.
            clock: The time.
            timeout_seconds: How long an answer may take.
            logger: For the breaker's changes.
            counts: To be counted up.
            overdue: Called when that time is over; tells whether anybody was waiting.
            breaker: Another one than usual.
        """
        self._store = store
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._logger = logger
        self._counts = counts
        self._overdue = overdue
        self._breaker = breaker or Breaker(
            failures_max=BREAKER_FAILURES_MAX,
            rest_seconds=BREAKER_REST_SECONDS,
            monotonic=clock.monotonic,
        )
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._state_logged = BreakerState.CLOSED

    @property
    def trusted(self) -> bool:
        """Whether Valkey is asked at present."""
        return self._store is not None and self._breaker.state is BreakerState.CLOSED

    @property
    def watched(self) -> bool:
        """Whether its time is running."""
        return self._timer is not None

    def watch(self) -> None:
        """Its time begins now."""
        self.watch_no_more()
        self._timer = self._loop.call_later(self._timeout_seconds, self._look, _TURNS_MAX)

    def watch_no_more(self) -> None:
        """Nobody waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def failed(self, reason: str = "") -> None:
        """It did not answer, or not in time."""
        self._breaker.failed()
        self._log_state(reason)

    def succeeded(self) -> None:
        """It answered in time."""
        self._breaker.succeeded()

    async def prepare(self, store: LimitStore) -> bool:
        """Make a connection, so that no request has to wait for it; gives whether that worked."""
        return await self._reach(store.prepare)

    async def try_again(self, store: LimitStore) -> bool:
        """Where it is time, see whether Valkey answers in time again, so that no request has to find out."""
        if self._breaker.state is not BreakerState.HALF_OPEN or not self._breaker.allows():
            return False
        # The connection may be gone; making one may take longer than a call, and is not what a request waits for.
        reached = await self.prepare(store)
        before = self._clock.monotonic()
        await asyncio.sleep(0)
        began = self._clock.monotonic()
        longest_seconds = self._timeout_seconds + _TURNS_MAX * (began - before)
        again = (
            reached and await self._reach(store.ping) and self._clock.monotonic() - began <= longest_seconds
        )
        if again:
            self._breaker.succeeded()
        else:
            self._breaker.failed()
        self._log_state()
        return again

    def _look(self, turns: int) -> None:
        """Its time is over, but for so many turns of the loop."""
        if turns:
            self._timer = self._loop.call_soon(self._look, turns - 1)
            return
        self._timer = None
        # However many wait, it is one failure.
        if self._overdue():
            self.failed()

    async def _reach(self, call: Callable[[], Awaitable[None]]) -> bool:
        try:
            await call()
        except ValkeyUnavailable:
            self._counts.failures += 1
            return False
        return True

    def _log_state(self, reason: str = "") -> None:
        state = self._breaker.state
        if state is not self._state_logged:
            self._state_logged = state
            self._logger.warning("limits.breaker", state=str(state), reason=reason or None)
