"""Load windows, loads and states for the autoscaler's tests, and a way to let the policy run for a while."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from hostler_autoscaler.observe import Load, NoData
from hostler_autoscaler.policy import Decision, decide
from hostler_autoscaler.state import ScalerState
from hostler_contracts.load import LoadWindow
from hostler_domain.histogram import bucket
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import JOB_ID, NOW, at

RPS = ScalingTarget(ScalingMetric.THROUGHPUT, 5.0)
IN_FLIGHT = ScalingTarget(ScalingMetric.CONCURRENCY, 8.0)
P95 = ScalingTarget(ScalingMetric.LATENCY_P95, 1000.0)

NO_DATA = NoData("no load window of the last 60 s")


def window(
    started: float,
    *,
    arrivals: int = 0,
    seconds: float = 5,
    router: str = "router-1",
    rejected: int = 0,
    in_flight: int = 0,
    queued: int | None = None,
    latencies_ms: tuple[float, ...] = (),
) -> LoadWindow:
    """A window that began so many seconds after `NOW`."""
    counts: dict[int, int] = {}
    for latency in latencies_ms:
        counts[bucket(latency)] = counts.get(bucket(latency), 0) + 1
    return LoadWindow(
        router=router,
        job_id=JOB_ID,
        started_at=at(started),
        seconds=seconds,
        arrivals=arrivals,
        completed=len(latencies_ms),
        failed=0,
        rejected=rejected,
        in_flight=in_flight,
        queued=queued,
        latency_ms=counts,
    )


def scaling(*targets: ScalingTarget, minimum: int = 1, maximum: int = 10, **more: int | None) -> Scaling:
    return replace(
        Scaling(
            min_replicas=minimum, max_replicas=maximum, initial_replicas=max(minimum, 1), targets=targets
        ),
        **more,  # type: ignore[arg-type]  # the other fields are numbers
    )


def load(
    rps: float = 0.0,
    *,
    p95_ms: float | None = None,
    completions: int = 100,
    in_flight: int = 0,
    queued: int = 0,
    now: datetime = NOW,
    active: bool | None = None,
) -> Load:
    busy = rps > 0 or in_flight > 0 or queued > 0 if active is None else active
    return Load(
        rps=rps,
        p95_ms=p95_ms,
        completions=completions if p95_ms is not None else 0,
        in_flight=in_flight,
        newest_at=now,
        seconds_covered=60,
        active_at=now if busy else None,
        queued=queued,
    )


def steady(replicas: int, *, seconds: float = 3600, now: datetime = NOW, last: int = 0) -> ScalerState:
    """A state after so many seconds of valid data in which all replicas served and `last` replicas were needed."""
    since = at(-seconds)
    state = ScalerState(observed_at=now, valid_since=since, settled_at=since, active_at=since)
    return state.with_sample(last, window_seconds=300, now=now) if last else state


class Run:
    """A job under the policy: every tick it is told a load, and has as many replicas as were decided `start_seconds` ago."""

    def __init__(
        self,
        spec: Scaling,
        *,
        current: int = 1,
        start_seconds: float = 0,
        tick_seconds: float = 2,
        state: ScalerState | None = None,
    ) -> None:
        self.spec = spec
        self._began_with = current
        self.current = current
        self.ready = current
        self.seconds = 0.0
        self.state = state or ScalerState()
        self.decisions: list[tuple[float, Decision]] = []
        self._start_seconds = start_seconds
        self._tick_seconds = tick_seconds
        self._starting: list[float] = []

    def go(self, seconds: float, told: Callable[[float, int], Load | NoData]) -> "Run":
        """Let time pass; `told` gives the load from the second and the number of ready replicas."""
        end = self.seconds + seconds
        while self.seconds < end:
            self._starting = [due for due in self._starting if due > self.seconds]
            self.ready = max(self.current - len(self._starting), 0)
            now = at(self.seconds)
            seen = told(self.seconds, self.ready)
            seen = replace(seen, newest_at=now) if isinstance(seen, Load) else seen
            if isinstance(seen, Load) and seen.active_at is not None:
                seen = replace(seen, active_at=now)
            self.state, decision = decide(self.spec, self.current, self.ready, self.state, seen, now=now)
            self.decisions.append((self.seconds, decision))
            started = max(decision.replicas - self.current, 0)
            self._starting += [self.seconds + self._start_seconds] * started
            self.current = decision.replicas
            self.seconds += self._tick_seconds
        return self

    @property
    def changes(self) -> list[tuple[float, int]]:
        """When the number changed, and to what."""
        found: list[tuple[float, int]] = []
        before = self._began_with
        for seconds, decision in self.decisions:
            if decision.replicas != before:
                found.append((seconds, decision.replicas))
            before = decision.replicas
        return found
