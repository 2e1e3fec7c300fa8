"""The pod autoscaler of Knative (KPA). Rules: `pkg/autoscaler/scaling/autoscaler.go` of knative/serving, with its default configuration."""

from math import ceil, floor

from hostler_autoscaler.simulation.history import Observed

_STABLE_SECONDS = 60.0
_PANIC_SECONDS = 6.0
_UTILISATION = 0.7
_PANIC_THRESHOLD = 2.0
_UP_RATE_MAX = 1000.0
_DOWN_RATE_MAX = 2.0


class Kpa:
    """Requests per second over 60 s and 6 s against 70 % of the target; in panic when 6 s want twice the ready replicas, then never down.

    It counts ready replicas only. Down by half of them per tick at most, with no delay.
    """

    interval = 2.0

    def __init__(self) -> None:
        self.reason = ""
        self._panic_since: float | None = None
        self._panic_most = 0

    def decide(self, obs: Observed) -> int | None:
        """One tick; without data there is no change."""
        stable, recent = obs.rps_over(_STABLE_SECONDS), obs.rps_over(_PANIC_SECONDS)
        if stable is None or recent is None:
            return None
        ready = max(1, obs.ready)
        target = _UTILISATION * obs.target_rps
        lowest, highest = floor(ready / _DOWN_RATE_MAX), ceil(_UP_RATE_MAX * ready)
        wanted_stable = min(max(ceil(stable / target), lowest), highest)
        over_panic = ceil(recent / target)
        wanted_panic = min(max(over_panic, lowest), highest)
        if over_panic / ready >= _PANIC_THRESHOLD:
            self._panic_since = obs.t
        elif self._panic_since is not None and self._panic_since + _STABLE_SECONDS < obs.t:
            self._panic_since, self._panic_most = None, 0
        if self._panic_since is None:
            self.reason = f"stable: {stable:.2f} rps"
            return wanted_stable
        self._panic_most = max(self._panic_most, wanted_stable, wanted_panic)
        self.reason = f"panic: {recent:.2f} rps over 6 s"
        return self._panic_most
