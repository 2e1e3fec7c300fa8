"""The table of policies, and a line for each target with whether it is met."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.autoscaler.baseline import Figures
from bench.autoscaler.scenarios import CHANGED, TABLE
from bench.autoscaler.suite import OURS, Measured

POINT_COST = 0.1
"""What a point of lost attainment counts, where the clairvoyant's replica-hours count 1."""

DEFAULT_MODE, SLO_MODE = OURS
BEST_REFERENCE = "hpa-p95"


@dataclass(frozen=True, slots=True)
class Row:
    """A policy over several scenarios."""

    policy: str
    shortfall_mean: float
    shortfall_worst: float
    hours: float
    flaps: int
    launches: int
    loss: float


def shortfall(measured: Measured, figures: Figures) -> float:
    """Points of attainment lost against the most replicas all day."""
    return measured.baseline.most.attainment - figures.attainment


def loss(measured: Measured, figures: Figures) -> float:
    """Replica-hours of the clairvoyant's, and what was lost."""
    hours = figures.replica_hours / measured.baseline.clairvoyant.replica_hours
    return hours + POINT_COST * max(0.0, shortfall(measured, figures))


def row(policy: str, those: Sequence[tuple[Measured, Figures]]) -> Row:
    """Means and sums."""
    lost = [shortfall(measured, figures) for measured, figures in those]
    hours = [
        figures.replica_hours / measured.baseline.clairvoyant.replica_hours for measured, figures in those
    ]
    return Row(
        policy,
        fmean(lost),
        max(lost),
        fmean(hours),
        sum(figures.flaps for _, figures in those),
        sum(figures.launches for _, figures in those),
        fmean(loss(measured, figures) for measured, figures in those),
    )


def rows(measured: Sequence[Measured]) -> list[Row]:
    """Of all policies, the clairvoyant and the most included, over the scenarios of the table; the least loss first."""
    those = [each for each in measured if each.scenario in TABLE]
    if not those:
        return []
    made = [
        row("(max)", [(each, each.baseline.most) for each in those]),
        row("(clairvoyant)", [(each, each.baseline.clairvoyant) for each in those]),
    ]
    made += [row(policy, [(each, each.policies[policy]) for each in those]) for policy in those[0].policies]
    return sorted(made, key=lambda each: (each.loss, each.policy))


def table(measured: Sequence[Measured]) -> str:
    """As text."""
    lines = [f"{'policy':<14} {'shortfall':>16} {'hours':>7} {'flaps':>7} {'launches':>9} {'loss':>6}"]
    lines.append(f"{'':<14} {'mean':>9} {'worst':>6} {'x clv':>7}")
    lines += [
        f"{each.policy:<14} {each.shortfall_mean:>9.2f} {each.shortfall_worst:>6.1f} {each.hours:>7.2f}"
        f" {each.flaps:>7} {each.launches:>9} {each.loss:>6.2f}"
        for each in rows(measured)
    ]
    return "\n".join(lines)


def scenario_lines(measured: Measured) -> str:
    """One scenario with all its policies."""
    most, clairvoyant = measured.baseline.most, measured.baseline.clairvoyant
    head = (
        f"{measured.scenario}: {measured.requests} requests; max {most.attainment:.2f} %, {most.replica_hours:.1f} h;"
        f" clairvoyant {clairvoyant.attainment:.2f} %, {clairvoyant.replica_hours:.1f} h"
    )
    lines = [head]
    lines += [
        f"  {policy:<12} shortfall {shortfall(measured, figures):>6.2f}  hours x"
        f" {figures.replica_hours / clairvoyant.replica_hours:.2f}  loss {loss(measured, figures):.2f}"
        f"  flaps {figures.flaps:>4}  launches {figures.launches:>4}  p95 {figures.p95_ms / 1000:.1f} s"
        for policy, figures in measured.policies.items()
    ]
    return "\n".join(lines)


def targets(measured: Sequence[Measured]) -> str:
    """A line for each target of the policy that could be judged; what was not measured is said."""
    by_name = {each.scenario: each for each in measured}
    lines = [*_of_table(measured), *_of_changes(by_name)]
    return "\n".join(lines) if lines else "no target can be judged: the product's policy was not measured"


def _line(number: str, what: str, *, met: bool) -> str:
    return f"{number:>3} {'met   ' if met else 'MISSED'} {what}"


def _of_table(measured: Sequence[Measured]) -> list[str]:
    made = {each.policy: each for each in rows(measured)}
    if DEFAULT_MODE not in made:
        return []
    default = made[DEFAULT_MODE]
    best = min((each for name, each in made.items() if name in OURS), key=lambda each: each.loss)
    references = [each for name, each in made.items() if name not in OURS and not name.startswith("(")]
    beside = ""
    if references:
        reference = min(references, key=lambda each: each.loss)
        beside = f" (best reference: {reference.policy} {reference.loss:.2f})"
    complete = sum(each.scenario in TABLE for each in measured)
    return [
        f"over {complete} of {len(TABLE)} scenarios:",
        _line("1a", f"loss {best.loss:.3f} of {best.policy} <= 1.20{beside}", met=best.loss <= 1.20),
        _line("1b", f"loss {default.loss:.3f} of {DEFAULT_MODE} <= 1.25", met=default.loss <= 1.25),
        _line(
            "2",
            f"shortfall mean {default.shortfall_mean:.2f} <= 2.0, worst {default.shortfall_worst:.2f} <= 6",
            met=default.shortfall_mean <= 2.0 and default.shortfall_worst <= 6,
        ),
        _line(
            "3",
            f"fast flaps {default.flaps} <= 120, launches {default.launches} <= 700",
            met=default.flaps <= 120 and default.launches <= 700,
        ),
    ]


def _of_changes(by_name: dict[str, Measured]) -> list[str]:
    lines = []
    drift = by_name.get("drift")
    if drift and DEFAULT_MODE in drift.policies:
        lost = shortfall(drift, drift.policies[DEFAULT_MODE])
        lines.append(_line("4", f"drift: shortfall {lost:.2f} <= 1.7", met=lost <= 1.7))
    lines += _of_wrong_targets(by_name)
    for name, base in CHANGED.items():
        changed, plain = by_name.get(name), by_name.get(base)
        if changed is None or plain is None or DEFAULT_MODE not in changed.policies:
            continue
        ours, usual = changed.policies[DEFAULT_MODE], plain.policies[DEFAULT_MODE]
        apart = usual.attainment - ours.attainment
        if name.startswith("gap"):
            blind = changed.decreases_blind[DEFAULT_MODE]
            lines.append(
                _line(
                    "6",
                    f"{name}: {blind} decreases without a window of metrics, attainment {apart:+.2f} points below <= 0.3",
                    met=blind == 0 and apart <= 0.3,
                )
            )
        elif name == "boots-fail":
            flaps_max = 2 * max(usual.flaps, 1)
            lines.append(
                _line(
                    "7",
                    f"{name}: attainment {apart:+.2f} points below <= 0.5, flaps {ours.flaps} <= {flaps_max}",
                    met=apart <= 0.5 and ours.flaps <= flaps_max,
                )
            )
        elif name.startswith("cold"):
            lines += _of_cold_start(changed, ours)
    return lines


def _of_wrong_targets(by_name: dict[str, Measured]) -> list[str]:
    lines = []
    high, low = by_name.get("target-high"), by_name.get("target-low")
    if high and DEFAULT_MODE in high.policies and BEST_REFERENCE in high.policies:
        ours, hpa = high.policies[DEFAULT_MODE], high.policies[BEST_REFERENCE]
        lines.append(
            _line(
                "5a",
                f"target twice too high: {ours.attainment:.2f} % >= 96 in {ours.replica_hours:.1f} h <= {hpa.replica_hours:.1f} h"
                f" of {BEST_REFERENCE} ({hpa.attainment:.2f} %)",
                met=ours.attainment >= 96 and ours.replica_hours <= hpa.replica_hours,
            )
        )
    if low and SLO_MODE in low.policies and BEST_REFERENCE in low.policies:
        ours, hpa = low.policies[SLO_MODE], low.policies[BEST_REFERENCE]
        share = ours.replica_hours / hpa.replica_hours
        lines.append(
            _line(
                "5b",
                f"target twice too low, slo mode: {ours.attainment:.2f} % >= 98 at {share:.2f} <= 0.75 of the hours of {BEST_REFERENCE}",
                met=ours.attainment >= 98 and share <= 0.75,
            )
        )
    return lines


def _of_cold_start(changed: Measured, ours: Figures) -> list[str]:
    references = {name: each for name, each in changed.policies.items() if name not in OURS}
    if not references:
        return []
    name = min(references, key=lambda each: loss(changed, references[each]))
    best = references[name]
    hours = ours.replica_hours / best.replica_hours
    return [
        _line(
            "8",
            f"{changed.scenario}: {ours.attainment:.2f} % >= {best.attainment:.2f} of {name}, at {hours:.2f} <= 1.1 of its hours",
            met=ours.attainment >= best.attainment and hours <= 1.1,
        )
    ]
