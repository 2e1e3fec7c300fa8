"""As many replicas as the bounds allow, all day: what attainment could be had, whatever it costs."""

from hostler_autoscaler.simulation.history import Observed


class FixedAtMax:
    """Always `max_replicas`."""

    interval = 60.0
    reason = "always the most"

    def decide(self, obs: Observed) -> int:
        """The most."""
        return obs.max_replicas
