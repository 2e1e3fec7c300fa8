"""What has happened so far in a simulation, and what a policy is shown of it.

Windows of any length are read from running sums, so that a request costs nothing but its own entry: the requests under way at any time
are those that came less those that ended, and the sum of their ages is the integral of their number.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate, pairwise

from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.traffic import Traffic

_WINDOW_SECONDS = 60.0
_STEP_SECONDS = 5.0
_STEPS = 4


class History:
    """Arrivals, known from the begin but read only up to a time, and ends, in order."""

    def __init__(self, traffic: Traffic) -> None:
        self._arrivals = traffic.arrivals
        self._arrival_sums = [0.0, *accumulate(traffic.arrivals)]
        self.ends: list[float] = []
        self.latencies: list[float] = []
        self.answers: list[int] = []
        self._end_sums = [0.0]

    def arrived(self, until: float) -> int:
        """How many came up to then."""
        return bisect_right(self._arrivals, until)

    def ended(self, until: float) -> int:
        """How many had ended by then."""
        return bisect_right(self.ends, until)

    def request_seconds(self, until: float) -> float:
        """The integral, from the begin, of the requests under way."""
        arrived, ended = self.arrived(until), self.ended(until)
        self._sum_up(ended)
        waited = arrived * until - self._arrival_sums[arrived]
        return waited - (ended * until - self._end_sums[ended])

    def _sum_up(self, ended: int) -> None:
        sums = self._end_sums
        for end in self.ends[len(sums) - 1 : ended]:
            sums.append(sums[-1] + end)


class Observed:
    """What a policy is shown at a time; rates, latencies and completions are those of the last 60 s.

    Attributes:
        t: Seconds since the begin.
        ready: Replicas that serve and take requests.
        starting: Replicas that were launched and are not ready.
        starting_ages: Seconds since the launch of each of those, oldest first.
        draining: Replicas that finish what they have.
        in_flight: Requests that replicas work on; None in an outage, like all metrics below.
        queued: Requests that wait for that, in the router or in a replica.
        queue_age_s: How long the oldest of those has waited, 0 if there is none.
        kv_util: The mean share of the room for tokens that is taken; None too where it is unbounded or nothing is ready.
        metrics_ok: Whether there are metrics.
    """

    def __init__(
        self,
        history: History,
        conditions: Conditions,
        *,
        t: float,
        interval_s: float,
        ready: int,
        starting_ages: Sequence[float],
        draining: int,
        in_flight: int,
        queued: int,
        queue_age_s: float,
        kv_util: float | None,
    ) -> None:
        self.metrics_ok = conditions.metrics_at(t)
        self.t = t
        self.interval_s = interval_s
        self.ready = ready
        self.starting = len(starting_ages)
        self.starting_ages = tuple(starting_ages)
        self.draining = draining
        self.in_flight = in_flight if self.metrics_ok else None
        self.queued = queued if self.metrics_ok else None
        self.queue_age_s = queue_age_s if self.metrics_ok else None
        self.kv_util = kv_util if self.metrics_ok else None
        self.min_replicas = conditions.min_replicas
        self.max_replicas = conditions.max_replicas
        self.target_rps = conditions.target_rps
        self.target_latency_ms = conditions.target_latency_ms
        self.stabilisation_s = conditions.stabilisation_seconds
        self.cold_start_s = conditions.cold_start_seconds
        self._history = history
        self._ended = len(history.ends)

    def rps_over(self, seconds: float) -> float | None:
        """Requests per second that came in the last seconds."""
        if not self.metrics_ok:
            return None
        # At the begin there is less to look back on than was asked for.
        span = min(seconds, self.t)
        if span <= 0:
            return 0.0
        return (self._history.arrived(self.t) - self._history.arrived(self.t - span)) / span

    def concurrency_over(self, seconds: float) -> float | None:
        """Requests under way, in replicas and waiting, on average over the last seconds."""
        if not self.metrics_ok:
            return None
        span = min(seconds, self.t)
        if span <= 0:
            return 0.0
        history = self._history
        return max(0.0, (history.request_seconds(self.t) - history.request_seconds(self.t - span)) / span)

    def busiest(self, over: Callable[[float], float | None]) -> float | None:
        """The highest of the last steps of a mean that is known of any time up to now, as by `rps_over`."""
        if not self.metrics_ok:
            return None
        spans = [0.0, *(min(_STEP_SECONDS * step, self.t) for step in range(1, _STEPS + 1))]
        sums = [span * (over(span) or 0.0) for span in spans]
        return max(
            (
                (later - earlier) / (longer - shorter)
                for (shorter, earlier), (longer, later) in pairwise(zip(spans, sums, strict=True))
                if longer > shorter
            ),
            default=0.0,
        )

    @property
    def rps(self) -> float | None:
        """Requests per second that came."""
        return self.rps_over(_WINDOW_SECONDS)

    @property
    def completions(self) -> int | None:
        """How many requests ended."""
        return len(self._latencies) if self.metrics_ok else None

    @property
    def p50_ms(self) -> float | None:
        """The median latency of those; None if there are none."""
        return self._percentile(0.5)

    @property
    def p95_ms(self) -> float | None:
        """The latency that 95 % of those did not exceed."""
        return self._percentile(0.95)

    @property
    def mean_ms(self) -> float | None:
        """The mean latency of those."""
        if not self.metrics_ok or not self._latencies:
            return None
        return 1000.0 * sum(self._latencies) / len(self._latencies)

    @property
    def token_ms(self) -> float | None:
        """The sum of their latencies over the sum of their generated tokens."""
        if not self.metrics_ok or not self._latencies:
            return None
        generated = sum(self._history.answers[self._ended - len(self._latencies) : self._ended])
        return 1000.0 * sum(self._latencies) / generated

    def _percentile(self, share: float) -> float | None:
        if not self.metrics_ok or not self._latencies:
            return None
        return 1000.0 * self._latencies[min(len(self._latencies) - 1, int(share * len(self._latencies)))]

    @cached_property
    def _latencies(self) -> list[float]:
        first = self._history.ended(self.t - _WINDOW_SECONDS)
        return sorted(self._history.latencies[first : self._ended])
