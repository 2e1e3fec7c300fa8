"""The two ends of what is possible without looking at metrics: the most replicas all day, and a plan made beforehand."""

from bisect import bisect_right
from collections.abc import Sequence

from hostler_autoscaler.simulation.history import Observed


class FixedAtMax:
    """Always `max_replicas`: what attainment could be had, whatever it costs."""

    interval = 60.0
    reason = "always the most"

    def decide(self, obs: Observed) -> int:
        """The most."""
        return obs.max_replicas


class Planned:
    """Follows a plan of wanted numbers; `clairvoyant` makes one from the traffic to come."""

    reason = "as planned"

    def __init__(self, wanted: Sequence[int], step_seconds: float) -> None:
        self.interval = step_seconds
        self._wanted = wanted
        self._begins = [step * step_seconds for step in range(len(wanted))]

    def decide(self, obs: Observed) -> int:
        """What the plan says for now; past its end what it said last."""
        return self._wanted[max(0, bisect_right(self._begins, obs.t) - 1)]
