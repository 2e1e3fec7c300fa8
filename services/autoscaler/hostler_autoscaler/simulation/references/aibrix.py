"""AIBrix's application-specific autoscaler (APA). Rules: `pkg/controller/podautoscaler/algorithm/apa.go` of vllm-project/aibrix."""

from collections import deque
from math import ceil, floor

from hostler_autoscaler.simulation.history import Observed

_TOLERANCE = 0.1
_RATE_MAX = 2.0


class Apa:
    """Requests under way per ready replica against a target, times the replicas there are; up to twice, down to half of them at a time.

    Metrics of ready replicas times all replicas: while new ones load it asks for more each tick. Down to the highest proposal of 300 s.

    Args of the constructor: how many requests a replica is meant to have under way.
    """

    interval = 10.0
    _down_window_seconds = 300.0

    def __init__(self, target_concurrency: float) -> None:
        self.reason = ""
        self._target = target_concurrency
        self._proposals: deque[tuple[float, int]] = deque()

    def decide(self, obs: Observed) -> int | None:
        """One reconcile; without metrics there is no change."""
        if obs.in_flight is None or obs.queued is None:
            return None
        present = obs.ready + obs.starting
        use = (obs.in_flight + obs.queued) / max(1, obs.ready) / self._target
        proposed = present
        if use > 1 + _TOLERANCE:
            proposed = min(ceil(present * use), ceil(_RATE_MAX * present))
        elif use < 1 - _TOLERANCE:
            proposed = max(ceil(present * use), floor(present / _RATE_MAX))
        proposed = max(obs.min_replicas, min(obs.max_replicas, proposed))
        self._proposals.append((obs.t, proposed))
        while self._proposals[0][0] < obs.t - self._down_window_seconds:
            self._proposals.popleft()
        self.reason = f"use {use:.2f} of the target per ready replica"
        if proposed >= present:
            return proposed
        return min(present, max(each for _, each in self._proposals))
