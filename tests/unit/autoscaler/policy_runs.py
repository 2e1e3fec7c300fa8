"""Observations and a way to let the policy run for a while, for the tests of deciding."""

from collections.abc import Callable
from dataclasses import replace

from hostler_autoscaler.decide import decide
from hostler_autoscaler.decision import Decision, Proposal
from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingMode, ScalingTarget
from tests.support.builders import at

RPS = ScalingTarget(ScalingMetric.THROUGHPUT, 5.0)
IN_FLIGHT = ScalingTarget(ScalingMetric.CONCURRENCY, 8.0)
P95 = ScalingTarget(ScalingMetric.LATENCY_P95, 1000.0)
NO_DATA = NoData("no load window of the last 60 s")


def scaling(
    *targets: ScalingTarget,
    minimum: int = 1,
    maximum: int = 10,
    window: int = 300,
    activation: int | None = None,
    sleep_after: int | None = None,
    mode: ScalingMode = ScalingMode.TARGET,
) -> Scaling:
    return Scaling(
        min_replicas=minimum,
        max_replicas=maximum,
        initial_replicas=max(minimum, 1),
        activation_replicas=max(minimum, 1) if activation is None else activation,
        targets=targets,
        stabilisation_window_seconds=window,
        scale_to_zero_after_seconds=sleep_after,
        mode=mode,
    )


def load(
    rps: float = 0.0,
    *,
    in_flight: int = 0,
    queued: int = 0,
    p95_ms: float | None = None,
    completions: int | None = None,
    rps_20: float | None = None,
    token_ms: float | None = None,
    mean_ms: float | None = None,
    kv: float | None = None,
    audio: float | None = None,
    idle_seconds: float | None = None,
    rps_high: float | None = None,
    concurrency_high: float | None = None,
) -> LoadSignals:
    return LoadSignals(
        rps=rps,
        rps_20=rps if rps_20 is None else rps_20,
        in_flight=in_flight,
        queued=queued,
        p50_ms=None if p95_ms is None else p95_ms / 3,
        p95_ms=p95_ms,
        completions=int(rps * 60) if completions is None else completions,
        token_ms=token_ms,
        mean_ms=mean_ms,
        kv_utilisation=kv,
        audio_seconds_per_second=audio,
        idle_seconds=idle_seconds,
        rps_high=rps_high,
        concurrency_high=concurrency_high,
    )


def seen(
    told: LoadSignals | NoData,
    *,
    desired: int = 1,
    ready: int | None = None,
    seconds: float = 0,
    starting: tuple[float, ...] = (),
    cold: float | None = 60.0,
) -> Observation:
    return Observation(
        now=at(seconds),
        desired=desired,
        ready=desired - len(starting) if ready is None else ready,
        load=told,
        starting_ages=starting,
        cold_start_seconds=cold,
    )


def proposal(decision: Decision, kind: str) -> Proposal | None:
    return next((each for each in decision.proposals if each.kind == kind), None)


class Run:
    """A job under the policy: every tick it is told a load, and has as many replicas as were decided a cold start ago."""

    def __init__(
        self,
        spec: Scaling,
        *,
        current: int = 1,
        cold: float = 60.0,
        tick: float = 10.0,
        state: PolicyState | None = None,
        never: bool = False,
    ) -> None:
        self.spec = spec
        self.current = self._before = current
        self.seconds = 0.0
        self.state = state or PolicyState()
        self.decisions: list[tuple[float, Decision]] = []
        self._cold, self._tick, self._never = cold, tick, never
        self._started: list[float] = []

    @property
    def ready(self) -> int:
        return self.current - len(self._started)

    def go(
        self,
        seconds: float,
        told: LoadSignals | NoData | Callable[[float, int], LoadSignals | NoData],
    ) -> "Run":
        """Let time pass; `told` is the load, or gives it from the second and the number of ready replicas."""
        end = self.seconds + seconds
        while self.seconds < end:
            if not self._never:
                self._started = [begun for begun in self._started if self.seconds - begun < self._cold]
            observation = seen(
                told(self.seconds, self.ready) if callable(told) else told,
                desired=self.current,
                ready=self.ready,
                seconds=self.seconds,
                starting=tuple(self.seconds - begun for begun in self._started),
                cold=self._cold,
            )
            self.state, decision = decide(self.state, observation, self.spec)
            self.decisions.append((self.seconds, decision))
            change = decision.replicas - self.current
            self._started += [self.seconds] * max(change, 0)
            for _ in range(min(-change, len(self._started))):
                self._started.pop()
            self.current = decision.replicas
            self.seconds += self._tick
        return self

    @property
    def last(self) -> Decision:
        return self.decisions[-1][1]

    @property
    def changes(self) -> list[tuple[float, int]]:
        """When the number changed, and to what."""
        found: list[tuple[float, int]] = []
        before = self._before
        for seconds, decision in self.decisions:
            if decision.replicas != before:
                found.append((seconds, decision.replicas))
            before = decision.replicas
        return found


def engine(
    alpha: float, beta: float, units: float, *, spread: float = 3.0
) -> Callable[[float, int], LoadSignals]:
    """The load of a fleet whose replicas answer in `units * (alpha + beta * x)` ms, at so many requests per second."""

    def told(rps: float, ready: int) -> LoadSignals:
        work = rps / max(ready, 1) * units / 1000
        # Beyond what it can do at all a replica has a hundred at a time.
        x = min(work * alpha / max(1 - work * beta, 1e-3), 100.0)
        unit_ms = alpha + beta * x
        mean_ms = units * unit_ms
        return replace(
            load(rps, in_flight=round(x * ready), token_ms=unit_ms, mean_ms=mean_ms),
            concurrency=x * ready,
            concurrency_20=x * ready,
            p50_ms=mean_ms * 0.8,
            p95_ms=mean_ms * spread,
        )

    return told
