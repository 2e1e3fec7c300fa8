"""Load windows as the autoscaler keeps them: what the signals need and no more, with times as plain seconds.

There is one for each job, router and period, of a hundred or so periods, so they are small.
"""

from dataclasses import dataclass

from hostler_contracts.load import LoadWindow
from hostler_domain.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Slice:
    """What one router saw of one job in one period.

    Attributes:
        router: Which router.
        begin: Of the period, in seconds since 1970.
        end: Likewise.
        started_at: Begin by the router's own clock; differs only where that is ahead.
        arrivals: Requests that came.
        rejected: Of them, those turned away.
        in_flight: Requests under way on replicas at the end.
        queued: Requests that waited at the end.
        queue_age_seconds: How long the oldest of them had; None where nobody waited or the router does not say.
        latency_ms: Whole requests that completed.
        latency_total_ms: Their sum; None where it is unknown.
        timed_ms: Of those with a known number of tokens; None likewise.
        timed_tokens: These tokens.
        audio_seconds: Of the requests that ended.
        kv_utilisation: Of each replica that the router asked, as its runtime said.
        leaves: The router has stopped.
    """

    router: str
    begin: float
    end: float
    started_at: float
    arrivals: int
    rejected: int
    in_flight: int
    queued: int
    queue_age_seconds: float | None
    latency_ms: Histogram
    latency_total_ms: float | None
    timed_ms: float | None
    timed_tokens: int | None
    audio_seconds: int
    kv_utilisation: tuple[tuple[str, float], ...]
    leaves: bool

    @property
    def busy(self) -> bool:
        """Whether anybody wanted anything of the job in this period."""
        return bool(self.arrivals or self.in_flight or self.queued)

    @property
    def outstanding(self) -> int:
        """Requests that wanted to be worked on at its end, whether a replica had them or not."""
        return self.in_flight + self.queued


def slice_of(window: LoadWindow, *, latest: float) -> Slice:
    """What is kept of a window.

    Args:
        window: As it came.
        latest: A period that ended after this moment, by the clock of a router that is ahead, is taken to have ended then.
    """
    started_at = window.started_at.timestamp()
    end = min(started_at + window.seconds, latest)
    return Slice(
        router=window.router,
        begin=end - window.seconds,
        end=end,
        started_at=started_at,
        arrivals=window.arrivals,
        rejected=window.rejected,
        in_flight=window.in_flight,
        queued=window.queued or 0,
        queue_age_seconds=window.queue_age_seconds,
        latency_ms=window.latency_ms,
        latency_total_ms=window.latency_total_ms,
        timed_ms=window.timed_ms,
        timed_tokens=window.timed_tokens,
        audio_seconds=window.audio_seconds,
        kv_utilisation=tuple(
            (replica_id, load.runtime.kv_utilisation)
            for replica_id, load in sorted(window.replicas.items())
            if load.runtime is not None and load.runtime.kv_utilisation is not None
        ),
        leaves=window.leaves,
    )
