"""What to do with the outcome of one try: take it, try again after a while, or give up. Pure; the clients do the waiting."""

import random
from dataclasses import dataclass
from typing import Generic

from hostler_client.errors import Unreachable
from hostler_client.jobs_api import Call, Reply, ResultT, problem

_RETRIED_STATUSES = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try, and how long to wait between.

    Attributes:
        attempts: In all, the first included.
        first_delay_seconds: Doubles with each try; a random half to whole of it is waited.
        delay_seconds_max: Never longer; an API that asks for more patience is reported at once.
        poll_interval_seconds: Pause before a job that is waited for is read again after its event stream broke.
    """

    attempts: int = 4
    first_delay_seconds: float = 0.25
    delay_seconds_max: float = 5.0
    poll_interval_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class NoReply:
    """A try that brought no answer."""

    detail: str


@dataclass(frozen=True, slots=True)
class Done(Generic[ResultT]):
    """It worked."""

    value: ResultT


@dataclass(frozen=True, slots=True)
class Again:
    """Try once more after this long."""

    delay_seconds: float


def decide(
    call: Call[ResultT], outcome: Reply | NoReply, *, attempt: int, policy: RetryPolicy, rng: random.Random
) -> Done[ResultT] | Again:
    """What follows from the outcome of the `attempt`-th try.

    Raises:
        ApiError: the API refused, and trying again is no use or was tried often enough.
        Unreachable: no answer came, often enough.
    """
    if isinstance(outcome, Reply):
        if 200 <= outcome.status < 300:
            return Done(call.result(outcome))
        if outcome.status not in _RETRIED_STATUSES:
            raise problem(outcome)
    delay_seconds = _delay_seconds(outcome, attempt=attempt, policy=policy, rng=rng)
    if attempt < policy.attempts and delay_seconds is not None:
        return Again(delay_seconds)
    if isinstance(outcome, Reply):
        raise problem(outcome)
    raise Unreachable(outcome.detail)


def _delay_seconds(
    outcome: Reply | NoReply, *, attempt: int, policy: RetryPolicy, rng: random.Random
) -> float | None:
    """How long to wait; None when the API asks for more than the policy allows."""
    backoff_seconds: float = min(policy.first_delay_seconds * 2 ** (attempt - 1), policy.delay_seconds_max)
    jittered = backoff_seconds * rng.uniform(0.5, 1.0)
    asked = _retry_after_seconds(outcome)
    if asked is None:
        return jittered
    return None if asked > policy.delay_seconds_max else max(asked, jittered)


def _retry_after_seconds(outcome: Reply | NoReply) -> float | None:
    """Retry-After in its seconds form; the API does not use the other one, a date."""
    text = outcome.headers.get("retry-after", "") if isinstance(outcome, Reply) else ""
    return float(text) if text.isdecimal() else None
