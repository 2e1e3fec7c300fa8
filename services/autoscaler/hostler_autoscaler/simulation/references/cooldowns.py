"""Two that count requests per second over a minute and wait between changes: dstack and SkyServe.

Rules: `services/autoscalers.py` of dstackai/dstack, `sky/serve/autoscalers.py` of skypilot-org/skypilot.
"""

from math import ceil

from hostler_autoscaler.simulation.history import Observed


class Dstack:
    """ceil(rps / target); up if nothing changed for 300 s, down if nothing changed for 600 s; without data no change."""

    interval = 15.0
    _up_delay_seconds = 300.0
    _down_delay_seconds = 600.0

    def __init__(self) -> None:
        self.reason = ""
        self._wanted: int | None = None
        self._changed_at: float | None = None

    def decide(self, obs: Observed) -> int | None:
        """One look."""
        rps = obs.rps
        present = obs.ready + obs.starting if self._wanted is None else self._wanted
        self._wanted = present
        if rps is None:
            return None
        wished = max(obs.min_replicas, min(obs.max_replicas, ceil(rps / obs.target_rps)))
        quiet = float("inf") if self._changed_at is None else obs.t - self._changed_at
        delay = self._up_delay_seconds if wished > present else self._down_delay_seconds
        if wished == present or (quiet < delay and present > 0):
            return present
        self.reason = f"{rps:.2f} rps / {obs.target_rps:.2f}, {quiet:.0f} s after the last change"
        self._wanted, self._changed_at = wished, obs.t
        return wished


class SkyServe:
    """ceil(qps / target) every 20 s; up after 300 s, down after 1,200 s of consecutive wishes for it. An empty window is 0 qps."""

    interval = 20.0
    _up_looks = 15
    _down_looks = 60

    def __init__(self) -> None:
        self.reason = ""
        self._wanted: int | None = None
        self._up = 0
        self._down = 0

    def decide(self, obs: Observed) -> int | None:
        """One look."""
        present = obs.ready + obs.starting if self._wanted is None else self._wanted
        qps = obs.rps or 0.0
        wished = max(obs.min_replicas, min(obs.max_replicas, ceil(qps / obs.target_rps)))
        self._up = self._up + 1 if wished > present else 0
        self._down = self._down + 1 if wished < present else 0
        self._wanted = present
        if self._up >= self._up_looks or self._down >= self._down_looks or present == 0:
            self.reason = f"{qps:.2f} qps / {obs.target_rps:.2f}"
            self._wanted, self._up, self._down = wished, 0, 0
        return self._wanted
