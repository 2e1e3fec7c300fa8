"""What a scenario is measured against: the most replicas all day, and the clairvoyant. Both are kept in files, for they take longest.

A file is named after a digest of the scenario and of the simulator's sources, so one that no longer fits is never read.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import hostler_autoscaler.simulation
from bench.autoscaler.scenarios import Scenario
from hostler_autoscaler.simulation.outcome import Outcome
from hostler_autoscaler.simulation.references.clairvoyant import best_plan
from hostler_autoscaler.simulation.references.fixed import FixedAtMax
from hostler_autoscaler.simulation.simulator import run
from hostler_autoscaler.simulation.traffic import Draw


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one policy in one scenario.

    Attributes:
        attainment: Percent.
        replica_hours: Paid for.
        flaps: Fast ones: changes of the wanted number that reverse the one before within the stabilisation window.
        launches: Replicas launched.
        p95_ms: Of the latency.
    """

    attainment: float
    replica_hours: float
    flaps: int
    launches: int
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """The two that others are measured against."""

    most: Figures
    clairvoyant: Figures


def figures(scenario: Scenario, outcome: Outcome) -> Figures:
    """What is compared of an outcome."""
    return Figures(
        outcome.attainment,
        outcome.replica_hours,
        outcome.reversals(scenario.conditions.stabilisation_seconds),
        outcome.launches,
        outcome.p95_ms or 0.0,
    )


def draws(seed: int) -> Callable[[], Draw]:
    """Makes the same draws each time."""
    return lambda: Random(seed).random


def baseline(scenario: Scenario, seed: int, kept: Path | None, *, thorough: bool) -> Baseline:
    """Measure it, or read what was measured."""
    path = kept / f"{scenario.name}-{_digest(scenario, seed, thorough=thorough)}.json" if kept else None
    if path and path.exists():
        read = json.loads(path.read_text())
        return Baseline(Figures(**read["most"]), Figures(**read["clairvoyant"]))
    make_draw = draws(seed)
    all_day = replace(scenario.conditions, initial_replicas=scenario.conditions.max_replicas)
    most = run(scenario.traffic, all_day, FixedAtMax(), draw=make_draw())
    _, planned = best_plan(
        scenario.traffic, scenario.conditions, most.attainment, make_draw, thorough=thorough
    )
    made = Baseline(figures(scenario, most), figures(scenario, planned))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = {
            name: {field: getattr(each, field) for field in Figures.__slots__}
            for name, each in (("most", made.most), ("clairvoyant", made.clairvoyant))
        }
        # Another process may be writing the same; a rename puts one of the two in place whole.
        partial = path.with_suffix(f".{id(texts)}")
        partial.write_text(json.dumps(texts, indent=1))
        partial.rename(path)
    return made


def _digest(scenario: Scenario, seed: int, *, thorough: bool) -> str:
    """Of everything that the figures come from."""
    digest = hashlib.sha256(repr((scenario.conditions, seed, thorough)).encode())
    traffic = scenario.traffic
    for each in (traffic.arrivals, traffic.prompts, traffic.answers):
        digest.update(repr((len(each), sum(each), each[len(each) // 3 : len(each) // 3 + 50])).encode())
    folder = Path(hostler_autoscaler.simulation.__path__[0])
    for source in sorted([*folder.glob("*.py"), *folder.glob("references/[cf]*.py")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
