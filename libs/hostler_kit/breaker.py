"""A circuit breaker: after some failures in a row, what fails is left alone for a while, then tried with one call.

Whoever calls something that may be slow or gone asks `allows` before, and tells `succeeded` or `failed` after. It keeps no
task and no timer; the time comes from the clock that it was given. Not for several threads.
"""

from collections.abc import Callable
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from hostler_domain.errors import IllegalTransition


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerEvent(StrEnum):
    """What may change that."""

    SUCCESS = "success"
    FAILURE = "failure"
    """One too many in a row, where the breaker is closed."""
    REST_OVER = "rest_over"


TRANSITIONS: Final = MappingProxyType(
    {
        (BreakerState.CLOSED, BreakerEvent.SUCCESS): BreakerState.CLOSED,
        (BreakerState.CLOSED, BreakerEvent.FAILURE): BreakerState.OPEN,
        # Calls that began before it opened may still end.
        (BreakerState.OPEN, BreakerEvent.SUCCESS): BreakerState.OPEN,
        (BreakerState.OPEN, BreakerEvent.FAILURE): BreakerState.OPEN,
        (BreakerState.OPEN, BreakerEvent.REST_OVER): BreakerState.HALF_OPEN,
        (BreakerState.HALF_OPEN, BreakerEvent.SUCCESS): BreakerState.CLOSED,
        (BreakerState.HALF_OPEN, BreakerEvent.FAILURE): BreakerState.OPEN,
    }
)


def transition(state: BreakerState, event: BreakerEvent) -> BreakerState:
    """The state after `event`.

    Raises:
        IllegalTransition: the event can't happen in this state.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a breaker that is {state} knows no {event}") from None


class Breaker:
    """One breaker, closed at first."""

    def __init__(self, *, failures_max: int, rest_seconds: float, monotonic: Callable[[], float]) -> None:
        self._failures_max = failures_max
        self._rest_seconds = rest_seconds
        self._monotonic = monotonic
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._rested_at = 0.0
        self._trial_ends_at: float | None = None

    @property
    def state(self) -> BreakerState:
        """As of now."""
        if self._state is BreakerState.OPEN and self._monotonic() >= self._rested_at:
            self._move(BreakerEvent.REST_OVER)
            self._trial_ends_at = None
        return self._state

    def allows(self) -> bool:
        """Whether a call may be made now. Where the breaker is half open that is one, until it is known how it ended.

        One that never tells is given up after a rest's length.
        """
        state = self.state
        if state is not BreakerState.HALF_OPEN:
            return state is BreakerState.CLOSED
        now = self._monotonic()
        if self._trial_ends_at is not None and now < self._trial_ends_at:
            return False
        self._trial_ends_at = now + self._rest_seconds
        return True

    def succeeded(self) -> None:
        """A call went well."""
        self._failures = 0
        self._move(BreakerEvent.SUCCESS)

    def failed(self) -> None:
        """A call did not."""
        self._failures += 1
        if self._state is BreakerState.CLOSED and self._failures < self._failures_max:
            return
        if self._state is not BreakerState.OPEN:
            self._rested_at = self._monotonic() + self._rest_seconds
        self._move(BreakerEvent.FAILURE)

    def _move(self, event: BreakerEvent) -> None:
        self._state = transition(self._state, event)
