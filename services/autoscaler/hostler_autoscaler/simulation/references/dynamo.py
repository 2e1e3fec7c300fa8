"""A planner in the manner of NVIDIA Dynamo's. Rules: `core/load_scaling.py` and `core/throughput_scaling.py` of its planner, simplified.

What is left out: prefill and decode replicas of their own, and its profiles, whose place the target rate takes.
"""

from math import ceil

from hostler_autoscaler.simulation.history import Observed

_SENSITIVITY = 0.9


class DynamoLike:
    """Every 3 min ceil(rate / capacity), and one more if p95 is above its target; one fewer only if those left keep to it with their share.

    No decision while replicas start, nor without latencies (no traffic included).
    """

    interval = 180.0

    def __init__(self) -> None:
        self.reason = ""

    def decide(self, obs: Observed) -> int | None:
        """One adjustment."""
        rate, p95_ms = obs.rps_over(self.interval), obs.p95_ms
        if obs.starting or obs.ready == 0 or rate is None or p95_ms is None:
            return None
        by_rate = ceil(rate / obs.target_rps)
        if p95_ms > obs.target_latency_ms:
            self.reason = f"p95 {p95_ms:.0f} ms is above its target"
            return max(by_rate, obs.ready + 1)
        if by_rate >= obs.ready:
            self.reason = f"{rate:.2f} rps"
            return by_rate
        if obs.ready > 1 and p95_ms * obs.ready / (obs.ready - 1) < _SENSITIVITY * obs.target_latency_ms:
            self.reason = f"p95 {p95_ms:.0f} ms leaves room for one fewer"
            return obs.ready - 1
        return None
