"""What a job's replicas and its requests are like, from what its own policy has learned of them. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log

from hostler_autoscaler.engine_fit import X_MIN
from hostler_autoscaler.learning import unit_ms_of
from hostler_autoscaler.observation import LoadSignals, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.shape import NORMAL_95
from hostler_autoscaler.simulation.engine import EngineModel
from hostler_domain.scaling import Scaling, ScalingMetric

ALPHA_SHARE_MIN = 0.2
"""Of the time of a unit at the present load: no engine is without a base cost."""
UNITS_MIN = 100.0
"""The simulator counts whole units; a request of one unit, where nobody tells tokens, is counted as so many."""
SPREAD_MAX = 2.0
MEASURED_SLACK = 0.1
"""By so much may a guess differ from what was measured."""
APART_MIN = 0.25
"""Loads that are closer than this, as a share, tell nothing of a slope."""


@dataclass(frozen=True, slots=True)
class Content:
    """How long requests are.

    Attributes:
        unit: What they are counted in.
        mean_units: On average.
        spread: Standard deviation of the logarithm.
    """

    unit: str
    mean_units: float
    spread: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A replica and its requests.

    Attributes:
        engine: In units.
        content: Likewise.
        guessed: The load never varied enough to tell how requests slow each other down; that follows from the targets.
    """

    engine: EngineModel
    content: Content
    guessed: bool

    @property
    def scale(self) -> float:
        """By how much the simulator's units are finer."""
        return max(UNITS_MIN / self.content.mean_units, 1.0)

    @property
    def scaled_engine(self) -> EngineModel:
        """The engine in the simulator's units."""
        return EngineModel(self.engine.alpha_ms / self.scale, self.engine.beta_ms / self.scale)


@dataclass(frozen=True, slots=True)
class Unfit:
    """Nothing can be said, and why."""

    reason: str


def fitted(state: PolicyState, seen: Sequence[Observation], scaling: Scaling) -> Fitted | Unfit:
    """What is known: the policy's own memory first, else the records together with the targets.

    Args:
        state: The latest memory.
        seen: Observations, in order.
        scaling: The job's own settings.
    """
    shape = state.shape
    loads = [(each, each.load) for each in seen if isinstance(each.load, LoadSignals)]
    if shape is None or not loads or shape.mean <= 0:
        return Unfit("too few requests were answered in calm to tell how fast a replica is")
    content = Content(
        unit=_unit(loads[-1][1]),
        mean_units=shape.mean,
        spread=min(log(shape.p95 / shape.p50) / NORMAL_95, SPREAD_MAX) if shape.p95 > shape.p50 > 0 else 0.0,
    )
    line = state.engine.line()
    if line is not None:
        return Fitted(EngineModel(line.alpha, line.beta), content, guessed=False)
    levels = [level for level in state.engine.levels if level.weight > 0]
    if not levels:
        return Unfit("too few requests were answered in calm to tell how fast a replica is")
    level = max(levels, key=lambda each: each.weight)
    measured = tuple(_measured(loads))
    return _guessed(level.x, level.unit_ms, content, scaling, measured)


def units_of(load: LoadSignals) -> float | None:
    """Units per request that a load tells of; None where too few were answered."""
    if load.completions < 5 or not load.mean_ms:
        return None
    return load.mean_ms / unit_ms_of(load, load.mean_ms)


def _unit(load: LoadSignals) -> str:
    if load.token_ms:
        return "tokens"
    return "seconds of audio" if load.audio_seconds_per_second else "requests"


def _measured(loads: Sequence[tuple[Observation, LoadSignals]]) -> Iterator[tuple[float, float]]:
    """Requests at a time per replica and what a unit took, wherever all of them were being worked on."""
    for seen, load in loads:
        if (
            seen.ready < 1
            or load.queued
            or load.concurrency is None
            or not load.mean_ms
            or load.completions < 5
        ):
            continue
        x = load.concurrency / seen.ready
        if x >= X_MIN:
            yield x, unit_ms_of(load, load.mean_ms)


def _guessed(
    x: float, unit_ms: float, content: Content, scaling: Scaling, measured: Sequence[tuple[float, float]]
) -> Fitted | Unfit:
    """The line through the load that there was and the one that the targets promise: at the target rate, the target latency.

    It is no steeper than what was measured at other loads allows: a replica may carry far more than its targets ask for.
    """
    rate = scaling.target(ScalingMetric.THROUGHPUT)
    latency = scaling.target(ScalingMetric.LATENCY_P95)
    beta = 0.0
    if rate is not None and latency is not None:
        p95_units = content.mean_units * exp(NORMAL_95 * content.spread - content.spread**2 / 2)
        promised_ms = latency.effective / p95_units
        promised_x = rate.effective * content.mean_units * promised_ms / 1000
        if promised_x > x * 1.2 and promised_ms > unit_ms:
            beta = (promised_ms - unit_ms) / (promised_x - x)
    beta = min(beta, (1 - ALPHA_SHARE_MIN) * unit_ms / x) if x > 0 else beta
    for other_x, other_ms in measured:
        away, slack_ms = other_x - x, MEASURED_SLACK * other_ms
        if abs(away) > APART_MIN * max(x, X_MIN):
            beta = min(beta, max((other_ms - unit_ms) / away + slack_ms / abs(away), 0.0))
    return Fitted(EngineModel(unit_ms - beta * x, beta), content, guessed=True)
