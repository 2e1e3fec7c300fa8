"""From load windows to one value: how busy a job is, or that nobody knows.

Pure; the service calls it every tick and `policy.decide` reads what it gives. A window of zeros is data (the job is idle), no
fresh window is `NoData`, and the two must never be mixed up.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hostler_contracts.load import LoadWindow
from hostler_domain.histogram import merged, quantile

LOOK_BACK_SECONDS = 60.0
RATE_SECONDS_MIN = 5.0
"""One request in a window that was cut after 10 ms is no hundred a second."""
STALE_SECONDS = 20.0
STALE_PERIODS = 3


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a job is, all routers together.

    Attributes:
        rps: Requests that came per second, also those turned away, over `seconds_covered`.
        p95_ms: Of the whole request, from windows that began after the latencies count; None where nothing was completed.
        completions: How many requests `p95_ms` is made of.
        in_flight: Requests under way at the end of each router's newest window.
        newest_at: End of the newest window.
        seconds_covered: How much of the look-back there are windows for; less than all of it soon after a start, but never so little
            that a rate over it would be chance.
        active_at: End of the newest window in which a request came, was under way or waited; None where there is no such window.
        queued: Requests that waited for a replica at the end of each router's newest window.
    """

    rps: float
    p95_ms: float | None
    completions: int
    in_flight: int
    newest_at: datetime
    seconds_covered: float
    active_at: datetime | None
    queued: int = 0

    @property
    def demand(self) -> int:
        """Requests that want to be worked on now, whether a replica has them or not."""
        return self.in_flight + self.queued


@dataclass(frozen=True, slots=True)
class NoData:
    """Nobody knows how busy the job is, and why."""

    reason: str


def observe(
    windows: Iterable[LoadWindow], *, now: datetime, latency_since: datetime | None = None
) -> Load | NoData:
    """What `windows`, which are of one job, say about the time just before `now`.

    Args:
        windows: In any order, of any number of routers.
        now: The present time.
        latency_since: Latencies count from windows that began at this time or later; None counts all.
    """
    back_to = now - timedelta(seconds=LOOK_BACK_SECONDS)
    recent = [window for window in windows if ended_at(window) > back_to]
    if not recent:
        return NoData(f"no load window of the last {LOOK_BACK_SECONDS:g} s")
    newest = max(recent, key=ended_at)
    # A router with long periods reports rarely and is fresh all the same. A short window is no sign of short periods: routers cut
    # one at once when a request comes for a job that sleeps.
    stale_seconds = max(STALE_SECONDS, STALE_PERIODS * max(window.seconds for window in recent))
    age_seconds = (now - ended_at(newest)).total_seconds()
    if age_seconds > stale_seconds:
        return NoData(f"the newest load window ended {age_seconds:.0f} s ago, over {stale_seconds:g} s")
    covered = max(seconds_covered(recent), RATE_SECONDS_MIN)
    counted = [window for window in recent if latency_since is None or window.started_at >= latency_since]
    latencies = merged(window.latency_ms for window in counted)
    active = [ended_at(window) for window in recent if busy(window)]
    present = _newest(recent, now - timedelta(seconds=stale_seconds))
    return Load(
        rps=sum(window.arrivals for window in recent) / covered,
        p95_ms=quantile(latencies, 0.95),
        completions=sum(latencies.values()),
        in_flight=sum(window.in_flight for window in present),
        newest_at=ended_at(newest),
        seconds_covered=covered,
        active_at=max(active, default=None),
        queued=sum(window.queued or 0 for window in present),
    )


def busy(window: LoadWindow) -> bool:
    """Whether anybody wanted anything of the job in this period."""
    return bool(window.arrivals or window.in_flight or window.queued)


def ended_at(window: LoadWindow) -> datetime:
    """End of a window's period."""
    return window.started_at + timedelta(seconds=window.seconds)


def seconds_covered(windows: Collection[LoadWindow]) -> float:
    """How long the time is that at least one of `windows`, of which there is one, tells of.

    Arrivals of all routers divided by this are the rate, also when routers came and went meanwhile: each arrival is counted
    by one of them.
    """
    covered = 0.0
    until: datetime | None = None
    for window in sorted(windows, key=lambda each: each.started_at):
        begin = window.started_at if until is None else max(window.started_at, until)
        end = ended_at(window)
        if end > begin:
            covered += (end - begin).total_seconds()
            until = end
    return covered


def _newest(windows: Iterable[LoadWindow], since: datetime) -> list[LoadWindow]:
    """The newest window of each router, if it is fresh: a router that is gone has nothing under way, and nobody waits there."""
    newest: dict[str, LoadWindow] = {}
    for window in windows:
        known = newest.get(window.router)
        if known is None or window.started_at > known.started_at:
            newest[window.router] = window
    return [window for window in newest.values() if ended_at(window) > since]
