"""The Horizontal Pod Autoscaler of Kubernetes, on requests per second, and on the 95th percentile of latency as well.

Rules: `pkg/controller/podautoscaler/replica_calculator.go` and `horizontal.go` of Kubernetes, and its documented default behaviour. KEDA
leaves 1 to n replicas to it, so HPA on requests per second is KEDA too.
"""

from collections import deque
from math import ceil

from hostler_autoscaler.simulation.history import Observed

_TOLERANCE = 0.1


class Hpa:
    """HPA v2: the largest proposal; up by at most 100 % or 4 at a time; down to the highest proposal of the window.

    The rate is an external metric with an average value: ceil(rate / target), whatever is ready, unless rate / (target * present replicas)
    is within 10 % of 1. The latency is one with a value: ceil(ready * p95 / target), unless within 10 % of the target. A metric without
    a value keeps the others from scaling down; without any there is no change.
    """

    interval = 15.0

    def __init__(self, *, latency: bool) -> None:
        self.reason = ""
        self._latency = latency
        self._wanted: int | None = None
        self._proposals: deque[tuple[float, int]] = deque()

    def decide(self, obs: Observed) -> int | None:
        """One sync."""
        present = obs.ready + obs.starting if self._wanted is None else self._wanted
        if self._wanted is None:
            # What it finds counts as its first proposal, so a controller that starts does not scale down at once.
            self._proposals.append((obs.t, present))
        self._wanted = present
        proposals = [self._of_rate(obs, present)]
        if self._latency:
            proposals.append(self._of_latency(obs, present))
        valid = [each for each in proposals if each is not None]
        if not valid or (len(valid) < len(proposals) and max(valid) < present):
            return None
        proposed = max(obs.min_replicas, min(obs.max_replicas, max(valid)))
        self._proposals.append((obs.t, proposed))
        while self._proposals[0][0] < obs.t - obs.stabilisation_s:
            self._proposals.popleft()
        wanted = proposed
        if proposed < present:
            wanted = min(present, max(proposal for _, proposal in self._proposals))
        elif proposed > present:
            wanted = min(proposed, max(2 * present, present + 4))
        self.reason = f"rate and latency propose {proposals}, {wanted} after the rules of behaviour"
        self._wanted = wanted
        return wanted

    @staticmethod
    def _of_rate(obs: Observed, present: int) -> int | None:
        rps = obs.rps
        if rps is None:
            return None
        if present and abs(1.0 - rps / (obs.target_rps * present)) <= _TOLERANCE:
            return present
        return ceil(rps / obs.target_rps)

    @staticmethod
    def _of_latency(obs: Observed, present: int) -> int | None:
        p95_ms = obs.p95_ms
        if p95_ms is None:
            return None
        ratio = p95_ms / obs.target_latency_ms
        if abs(1.0 - ratio) <= _TOLERANCE:
            return present
        return ceil(ratio * obs.ready)
