"""How many replicas a job may have, and what it is scaled against.

Targets are a list and the largest answer wins. `target_rps` and `target_latency_p95_ms` of a request become one target
each; Run:ai's single metric with threshold and percentage becomes one too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from hostler_domain.errors import FieldError
from hostler_domain.scheduled_bounds import ScheduledBounds, window_errors

REPLICAS_MAX = 1000
STABILISATION_WINDOW_SECONDS_MAX = 3600


class ScalingMetric(StrEnum):
    """What a target's threshold counts."""

    THROUGHPUT = "throughput"
    """Requests per second and replica."""
    CONCURRENCY = "concurrency"
    """Requests in flight per replica."""
    LATENCY_P95 = "latency_p95"
    """95th percentile of the whole request, in milliseconds."""


class ScalingMode(StrEnum):
    """How the targets are meant."""

    TARGET = "target"
    """The throughput target is a ceiling: a latency target can only add replicas."""
    SLO = "slo"
    """The latency target decides: replicas are given as much as they carry within it, at most twice the throughput target."""


@dataclass(frozen=True, slots=True)
class ScalingTarget:
    """One thing to keep to.

    Attributes:
        metric: What is watched.
        threshold: In the metric's unit.
        percentage: Act at this share of the threshold, 1 to 100.
    """

    metric: ScalingMetric
    threshold: float
    percentage: int = 100

    @property
    def effective(self) -> float:
        """The threshold at which to act, in the metric's unit."""
        return self.threshold * self.percentage / 100


@dataclass(frozen=True, slots=True)
class ShadowScaling:
    """What a second policy goes by that runs beside the first and changes nothing; None is as the job has it.

    Attributes:
        targets: What it scales against.
        stabilisation_window_seconds: As in `Scaling`.
        mode: Likewise.
    """

    targets: tuple[ScalingTarget, ...] | None = None
    stabilisation_window_seconds: int | None = None
    mode: ScalingMode | None = None


@dataclass(frozen=True, slots=True)
class Scaling:
    """Bounds and targets.

    Attributes:
        min_replicas: Kept warm; 0 lets the job sleep.
        max_replicas: Never exceeded.
        initial_replicas: At the first start.
        activation_replicas: When leaving zero.
        targets: What to scale against; none means that the count stays where it is put.
        stabilisation_window_seconds: A scale-down follows the highest recommendation of this window.
        scale_to_zero_after_seconds: Idle time until a job with `min_replicas` 0 sleeps.
        mode: Whether the throughput or the latency target leads where a job has both.
        shadow: What a second policy goes by, whose decisions are written down and not carried out; None for no such policy.
        schedule: Windows of time in which narrower bounds hold; where several are open, the highest minimum and the lowest maximum.
    """

    min_replicas: int = 1
    max_replicas: int = 1
    initial_replicas: int = 1
    activation_replicas: int = 1
    targets: tuple[ScalingTarget, ...] = ()
    stabilisation_window_seconds: int = 300
    scale_to_zero_after_seconds: int | None = None
    mode: ScalingMode = ScalingMode.TARGET
    schedule: tuple[ScheduledBounds, ...] = ()
    shadow: ShadowScaling | None = None

    @property
    def promoted(self) -> "Scaling | None":
        """The scaling by which the shadow goes, within the same bounds and with no shadow any more; None where there is none."""
        shadow = self.shadow
        if shadow is None:
            return None
        window = shadow.stabilisation_window_seconds
        return replace(
            self,
            targets=self.targets if shadow.targets is None else shadow.targets,
            stabilisation_window_seconds=self.stabilisation_window_seconds if window is None else window,
            mode=self.mode if shadow.mode is None else shadow.mode,
            shadow=None,
        )

    def clamp(self, replicas: int) -> int:
        """`replicas` brought within the bounds."""
        return min(max(replicas, self.min_replicas), self.max_replicas)

    def target(self, metric: ScalingMetric) -> ScalingTarget | None:
        """The target for `metric`, if there is one."""
        return next((target for target in self.targets if target.metric is metric), None)


def scaling_errors(scaling: Scaling, prefix: str = "scaling") -> Iterator[FieldError]:
    """Everything that does not make sense in `scaling`; fields are named under `prefix`."""

    def wrong(field: str, message: str) -> FieldError:
        return FieldError(f"{prefix}.{field}", message)

    if not 0 <= scaling.min_replicas <= REPLICAS_MAX:
        yield wrong("min_replicas", f"must be from 0 to {REPLICAS_MAX}, got {scaling.min_replicas}")
    if not 1 <= scaling.max_replicas <= REPLICAS_MAX:
        yield wrong("max_replicas", f"must be from 1 to {REPLICAS_MAX}, got {scaling.max_replicas}")
    if scaling.max_replicas < scaling.min_replicas:
        yield wrong(
            "max_replicas",
            f"must be at least min_replicas ({scaling.min_replicas}), got {scaling.max_replicas}",
        )
    else:
        yield from _within_errors(scaling, wrong)
    if scaling.scale_to_zero_after_seconds is not None:
        if scaling.scale_to_zero_after_seconds < 1:
            yield wrong("scale_to_zero_after_seconds", "must be at least 1 second")
        if scaling.min_replicas > 0:
            yield wrong(
                "scale_to_zero_after_seconds", "needs min_replicas 0: a job with a minimum stays warm"
            )
    yield from _policy_errors(scaling, prefix)
    promoted = scaling.promoted
    if promoted is not None:
        # Whatever the shadow has from the job is wrong there already.
        own = {error.message for error in _policy_errors(scaling, prefix)}
        yield from (each for each in _policy_errors(promoted, f"{prefix}.shadow") if each.message not in own)
    yield from window_errors(
        scaling.schedule, scaling.min_replicas, scaling.max_replicas, f"{prefix}.schedule"
    )


def _within_errors(scaling: Scaling, wrong: Callable[[str, str], FieldError]) -> Iterator[FieldError]:
    """What is not within bounds that leave room for it."""
    for field, value in (
        ("initial_replicas", scaling.initial_replicas),
        ("activation_replicas", scaling.activation_replicas),
    ):
        lowest = max(scaling.min_replicas, 1) if field == "activation_replicas" else scaling.min_replicas
        if not lowest <= value <= scaling.max_replicas:
            yield wrong(field, f"must be from {lowest} to max_replicas ({scaling.max_replicas}), got {value}")


def _policy_errors(scaling: Scaling, prefix: str) -> Iterator[FieldError]:
    """Of what a policy goes by, the job's own or its shadow's."""
    window = scaling.stabilisation_window_seconds
    if not 0 <= window <= STABILISATION_WINDOW_SECONDS_MAX:
        yield FieldError(
            f"{prefix}.stabilisation_window_seconds",
            f"must be from 0 to {STABILISATION_WINDOW_SECONDS_MAX} seconds, got {window}",
        )
    yield from _target_errors(scaling, prefix)


def _target_errors(scaling: Scaling, prefix: str) -> Iterator[FieldError]:
    seen: set[ScalingMetric] = set()
    for number, target in enumerate(scaling.targets):
        field = f"{prefix}.targets.{number}"
        if target.metric in seen:
            yield FieldError(f"{field}.metric", f"{target.metric} is given twice")
        seen.add(target.metric)
        if not 0 < target.threshold < 1e9:
            yield FieldError(f"{field}.threshold", f"must be above 0, got {target.threshold:g}")
        if not 1 <= target.percentage <= 100:
            yield FieldError(f"{field}.percentage", f"must be from 1 to 100, got {target.percentage}")
    if scaling.mode is ScalingMode.SLO and ScalingMetric.LATENCY_P95 not in seen:
        yield FieldError(f"{prefix}.mode", "slo needs a latency_p95 target")
    if scaling.min_replicas == 0 and seen == {ScalingMetric.LATENCY_P95}:
        yield FieldError(
            f"{prefix}.targets",
            "a job that may sleep (min_replicas 0) needs a throughput or concurrency target: nothing has a latency at zero",
        )
