"""The policies of a replay: the one that really decides, and the numbers that there were. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from hostler_autoscaler.bounds import bounds_at
from hostler_autoscaler.decide import decide
from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.simulation.history import Observed
from hostler_domain.scaling import Scaling

INTERVAL_SECONDS = 10.0
"""The service decides more often; within ten seconds hardly more is known, and a day takes a fifth of the time."""


class RealPolicy:
    """`decide` itself, fed by the simulator as the service feeds it; schedules open at the hours at which they did."""

    interval = INTERVAL_SECONDS

    def __init__(self, scaling: Scaling, begin: datetime, state: PolicyState, desired: int) -> None:
        self.reason = ""
        self._scaling = scaling
        self._begin = begin
        self._state = state
        self._desired = desired

    def decide(self, obs: Observed) -> int:
        """What the service would have decided."""
        now = self._begin + timedelta(seconds=obs.t)
        seen = observation_of(obs, now, self._desired)
        self._state, decision = decide(self._state, seen, bounds_at(self._scaling, now).scaling)
        self.reason, self._desired = decision.reason, decision.replicas
        return decision.replicas


class AsItWas:
    """The numbers of replicas that were asked for, each from its moment on."""

    interval = INTERVAL_SECONDS
    reason = "as it was"

    def __init__(self, steps: Sequence[tuple[float, int]]) -> None:
        """Follow `steps`, in order, each with the second from which its number holds."""
        self._begins = [begin for begin, _ in steps]
        self._numbers = [number for _, number in steps]

    def decide(self, obs: Observed) -> int:
        """The number of that time."""
        return self._numbers[max(bisect_right(self._begins, obs.t) - 1, 0)]


def observation_of(obs: Observed, now: datetime, desired: int) -> Observation:
    """What the simulator shows, in the policy's terms."""
    return Observation(
        now=now,
        desired=desired,
        ready=obs.ready,
        load=_load(obs),
        starting_ages=obs.starting_ages,
        draining=obs.draining,
        cold_start_seconds=obs.cold_start_s,
    )


def _load(obs: Observed) -> LoadSignals | NoData:
    rps, in_flight = obs.rps, obs.in_flight
    if rps is None or in_flight is None:
        return NoData("no metrics")
    return LoadSignals(
        rps=rps,
        in_flight=in_flight,
        queued=obs.queued or 0,
        rps_20=obs.rps_over(20.0),
        concurrency=obs.concurrency_over(60.0),
        concurrency_20=obs.concurrency_over(20.0),
        queue_age_seconds=obs.queue_age_s,
        completions=obs.completions or 0,
        p50_ms=obs.p50_ms,
        p95_ms=obs.p95_ms,
        mean_ms=obs.mean_ms,
        token_ms=obs.token_ms,
        kv_utilisation=obs.kv_util,
        rps_high=obs.busiest(obs.rps_over),
        concurrency_high=obs.busiest(obs.concurrency_over),
    )
