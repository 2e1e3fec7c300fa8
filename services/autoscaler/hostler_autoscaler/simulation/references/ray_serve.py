"""Ray Serve's default policy. Rules: `python/ray/serve/autoscaling_policy.py` and `config.py` of ray-project/ray."""

from math import ceil

from hostler_autoscaler.simulation.history import Observed

_LOOK_BACK_SECONDS = 30.0
_UP_DELAY_SECONDS = 30.0
_DOWN_DELAY_SECONDS = 600.0


class RayServe:
    """Requests under way over 30 s / target per replica; up after 30 s, down after 600 s of wishes in the same direction without a break.

    Args of the constructor: how many requests a replica is meant to have under way.
    """

    interval = 10.0

    def __init__(self, target_concurrency: float) -> None:
        self.reason = ""
        self._target = target_concurrency
        self._wanted: int | None = None
        self._since = 0.0
        self._direction = 0

    def decide(self, obs: Observed) -> int | None:
        """One look."""
        under_way = obs.concurrency_over(_LOOK_BACK_SECONDS)
        present = obs.ready + obs.starting if self._wanted is None else self._wanted
        self._wanted = present
        if under_way is None:
            return None
        wished = ceil(under_way / self._target)
        if present > 1:
            wished = max(1, wished)
        wished = max(obs.min_replicas, min(obs.max_replicas, wished))
        direction = (wished > present) - (wished < present)
        if direction != self._direction:
            self._direction, self._since = direction, obs.t
        delay = _UP_DELAY_SECONDS if direction > 0 else _DOWN_DELAY_SECONDS
        # Nothing serves: the first request is not made to wait for the delay.
        at_once = obs.ready + obs.starting == 0
        if direction == 0 or (obs.t - self._since < delay and not at_once):
            return present
        self.reason = f"{under_way:.1f} under way / {self._target:.1f} for {obs.t - self._since:.0f} s"
        self._wanted, self._direction = wished, 0
        return wished
