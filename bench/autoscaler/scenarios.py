"""The scenarios: what comes, and under what conditions it is served.

Each is made from its name alone, in the process that runs it, because a day of requests is slow to hand over. Twelve make the table; the
others answer one target each, beside the one of the twelve that they change.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from random import Random

from bench.autoscaler import synthetic, traces
from bench.autoscaler.careful import target_of
from hostler_autoscaler.simulation.conditions import Conditions
from hostler_autoscaler.simulation.engine import EngineModel
from hostler_autoscaler.simulation.traffic import Traffic, between, repeated

HOUR = 3600.0

# A replica is full not far above what a careful user gives it, as with a bound on sequences or on the cache; beyond that a queue grows.
MEDIUM = EngineModel(alpha_ms=25.0, beta_ms=1.0, prefill_ms_per_token=0.08, active_max=24)
SLOW = EngineModel(alpha_ms=45.0, beta_ms=2.5, prefill_ms_per_token=0.15, active_max=16)
FAST = EngineModel(alpha_ms=12.0, beta_ms=0.45, prefill_ms_per_token=0.03, active_max=64, kv_tokens=34_000)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One that is ready to be run.

    Attributes:
        name: Of it.
        traffic: What comes.
        conditions: With the targets that policies are told.
        target_concurrency: What a careful user would tell policies that count requests under way.
    """

    name: str
    traffic: Traffic
    conditions: Conditions
    target_concurrency: float


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How one is made.

    Attributes:
        content: What the careful user measures with.
        make: From requests per second that a replica takes, the traffic.
        engine: Of its replicas.
        latency_ms: The target.
        max_replicas: The bound.
        trace: The file it needs.
    """

    content: Callable[[Path | None], Traffic]
    make: Callable[[Path | None, float], Traffic]
    engine: EngineModel
    latency_ms: float
    max_replicas: int
    trace: str | None = None


def _content(_: Path | None) -> Traffic:
    return synthetic.arrivals(2000.0, lambda _: 3.0, 3.0, 7)


def _made(
    hours: float, highest: float, shape: Callable[[float], synthetic.Rate], seed: int
) -> Callable[[Path | None, float], Traffic]:
    """Traffic whose rate is told in replicas: `highest` of them at most."""
    return lambda _, target: synthetic.arrivals(hours * HOUR, shape(target), 1.6 * highest * target, seed)


def _trace(name: str, times: int, begin: float = 0.0, end: float | None = None) -> Callable[..., Traffic]:
    def make(folder: Path | None, _: float = 0.0) -> Traffic:
        if folder is None:
            raise FileNotFoundError(name)
        whole = traces.read(folder / name)
        part = whole if end is None else between(whole, begin, end)
        return repeated(part, times, Random(11).random) if times > 1 else part

    return make


_RECIPES: dict[str, _Recipe] = {
    "azure-conv": _Recipe(_trace(traces.AZURE, 1), _trace(traces.AZURE, 4), MEDIUM, 30_000, 24, traces.AZURE),
    "servegen-day": _Recipe(
        _trace(traces.SERVEGEN, 1, 0, HOUR), _trace(traces.SERVEGEN, 1), SLOW, 60_000, 28, traces.SERVEGEN
    ),
    "servegen-morning": _Recipe(
        _trace(traces.SERVEGEN, 1, 0, HOUR),
        _trace(traces.SERVEGEN, 2, 4 * HOUR, 12 * HOUR),
        MEDIUM,
        30_000,
        28,
        traces.SERVEGEN,
    ),
    "step": _Recipe(
        _content,
        _made(4, 8, lambda c: synthetic.step(3 * c, 8 * c, 1.2 * HOUR, 2.7 * HOUR), 1),
        MEDIUM,
        30_000,
        16,
    ),
    "ramp": _Recipe(
        _content,
        _made(5, 10, lambda c: synthetic.ramp(2 * c, 10 * c, (HOUR, 2 * HOUR), (3 * HOUR, 4 * HOUR)), 2),
        SLOW,
        50_000,
        16,
    ),
    "on-off": _Recipe(
        _content, _made(6, 7, lambda c: synthetic.on_off(3 * c, 7 * c, 2 * HOUR), 3), MEDIUM, 30_000, 16
    ),
    "flat": _Recipe(_content, _made(5, 6, lambda c: lambda _: 5.6 * c, 4), MEDIUM, 30_000, 12),
    "bursts": _Recipe(
        _content,
        _made(4, 7, lambda c: synthetic.bursts(4.6 * c, 6.8 * c, 2400.0, 120.0), 5),
        FAST,
        16_000,
        16,
    ),
    "diurnal": _Recipe(
        _content,
        _made(24, 8, lambda c: synthetic.diurnal(1.5 * c, 8 * c, seed=6, noise=0.08), 6),
        SLOW,
        50_000,
        16,
    ),
    "noisy": _Recipe(
        _content,
        _made(8, 7, lambda c: synthetic.diurnal(5.5 * c, 6.5 * c, seed=8, noise=0.18), 8),
        MEDIUM,
        25_000,
        16,
    ),
    "small": _Recipe(
        _content,
        _made(24, 3, lambda c: synthetic.diurnal(0.3 * c, 2.7 * c, seed=9, noise=0.2), 9),
        MEDIUM,
        30_000,
        6,
    ),
    "drift": _Recipe(
        _content,
        lambda _, c: synthetic.arrivals(
            5 * HOUR,
            lambda _: 4.5 * c,
            4.5 * c,
            10,
            longer=synthetic.ramp(1.0, 1.5, (HOUR, 4 * HOUR), (9 * HOUR, 10 * HOUR)),
        ),
        MEDIUM,
        30_000,
        20,
    ),
}

TABLE = tuple(_RECIPES)
"""The names of those that make the table."""

_CHANGES: dict[str, tuple[str, Callable[[Conditions], Conditions]]] = {
    "target-high": ("ramp", lambda c: replace(c, target_rps=2 * c.target_rps)),
    "target-low": ("ramp", lambda c: replace(c, target_rps=c.target_rps / 2)),
    "gap": ("ramp", lambda c: replace(c, outages=((1.6 * HOUR, 1.6 * HOUR + 600),))),
    "gap-down": ("ramp", lambda c: replace(c, outages=((3.5 * HOUR, 3.5 * HOUR + 600),))),
    "boots-fail": ("on-off", lambda c: replace(c, boot_failure_share=0.3)),
    "cold-600": ("ramp", lambda c: replace(c, cold_start_seconds=600.0)),
    "cold-600-steps": ("step", lambda c: replace(c, cold_start_seconds=600.0)),
}

CHANGED = {name: base for name, (base, _) in _CHANGES.items()}
"""The others, and which of the twelve each changes."""


def needs(name: str) -> str | None:
    """The file of a trace without which it can't be made."""
    return _RECIPES[CHANGED.get(name, name)].trace


def make(name: str, folder: Path | None) -> Scenario:
    """Make the one of that name.

    Args:
        name: One of TABLE or CHANGED.
        folder: Where the traces are.
    """
    recipe = _RECIPES[CHANGED.get(name, name)]
    first = Conditions(recipe.engine, 1.0, recipe.latency_ms, max_replicas=recipe.max_replicas)
    target, concurrency = target_of(recipe.content(folder), first)
    traffic = recipe.make(folder, target)
    begun = sum(arrival < 300.0 for arrival in traffic.arrivals) / 300.0
    conditions = replace(
        first,
        target_rps=target,
        initial_replicas=max(1, min(recipe.max_replicas, ceil(1.1 * begun / target))),
    )
    if name in _CHANGES:
        conditions = _CHANGES[name][1](conditions)
    return Scenario(name, traffic, conditions, concurrency)
