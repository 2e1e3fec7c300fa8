"""The figures, their ratios and the targets, as values. Pure: `__main__` measures, this says what came of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that is measured of every target.

    Attributes:
        name: As in the report.
        unit: Of its values.
        must: What our router must reach: a multiple of nginx's value, or a value where `ratio` is false; None where nothing is asked.
        moonshot: What it should reach.
        ratio: Which of the two.
    """

    name: str
    unit: str
    must: float | None = None
    moonshot: float | None = None
    ratio: bool = True


W1 = Figure("W1 1 KB answers, 64 connections: CPU", "us/request", 3, 2)
W3 = Figure("W3 100 KB prompts, 16 connections: CPU", "us/request", 4.5, 3)
W2_PACED = Figure("W2 64-event streams, paced: CPU", "us/event", 2.6, 2)
W2_FAST = Figure("W2 64-event streams, fast: CPU", "us/event", 3, 2)
ADDED_P50 = Figure("added latency at 1 connection, p50", "us", 150, 80, ratio=False)
ADDED_P99 = Figure("added latency at 1 connection, p99", "us", 300, 150, ratio=False)
FIRST_P50 = Figure("added time to first token, p50", "us", 400, 250, ratio=False)
FIRST_PACED_P50 = Figure("added time to first token of a paced stream, p50", "us", 400, 250, ratio=False)
W4_CPU = Figure("W4 streams, one event a second: CPU", "us/event")
W4_RSS = Figure("W4 streams: resident memory", "MiB", 80, 50, ratio=False)
READY = Figure("Ready event to first routed request", "ms", 50, 10, ratio=False)
RATE = Figure("W1 rate", "requests/s")
NATS = Figure("nats-server during W1: CPU", "us/request", ratio=False)

FIGURES = (
    W1,
    W3,
    W2_PACED,
    W2_FAST,
    ADDED_P50,
    ADDED_P99,
    FIRST_P50,
    FIRST_PACED_P50,
    W4_CPU,
    W4_RSS,
    READY,
    RATE,
    NATS,
)
_LARGER_IS_BETTER = frozenset({RATE})


@dataclass
class Measured:
    """Every value that was seen, by figure and target; the best one counts, since what disturbs only ever adds."""

    values: dict[Figure, dict[str, list[float]]] = field(default_factory=dict)

    def note(self, figure: Figure, target: str, value: float) -> None:
        """One more."""
        self.values.setdefault(figure, {}).setdefault(target, []).append(value)

    def best(self, figure: Figure, target: str) -> float:
        """The best; NaN where there is none."""
        seen = [each for each in self.values.get(figure, {}).get(target, []) if not math.isnan(each)]
        if not seen:
            return math.nan
        return max(seen) if figure in _LARGER_IS_BETTER else min(seen)

    def ratio(self, figure: Figure, target: str, to: str) -> float:
        """The best to the best; NaN where there is nothing to compare with."""
        base = self.best(figure, to)
        return self.best(figure, target) / base if base else math.nan


def verdict(figure: Figure, value: float, ratio: float) -> str:
    """Whether a target was met.

    | reached              | says               |
    | -------------------- | ------------------ |
    | nothing was asked    | nothing            |
    | the moonshot         | moonshot           |
    | what must be         | met                |
    | less                 | MISSED             |
    """
    if figure.must is None or figure.moonshot is None:
        return ""
    reached = ratio if figure.ratio else value
    if math.isnan(reached):
        return "not measured"
    return "moonshot" if reached <= figure.moonshot else "met" if reached <= figure.must else "MISSED"


def table(measured: Measured, targets: Sequence[str], *, to: str, judged: Sequence[str]) -> str:
    """For people: a row a figure, a column a target with its ratio to `to`, and what became of the goals of those judged."""
    lines = [
        f"| figure | {' | '.join(targets)} | must / moonshot | {' | '.join(judged)} |",
        f"|---|{'---|' * (len(targets) + 1 + len(judged))}",
    ]
    for figure in FIGURES:
        if figure not in measured.values:
            continue
        cells = []
        for target in targets:
            best, ratio = measured.best(figure, target), measured.ratio(figure, target, to)
            text = "" if math.isnan(best) else f"{best:,.1f}" if best < 100 else f"{best:,.0f}"
            cells.append(
                text
                if math.isnan(ratio) or target == to or not (figure.ratio or figure.unit == "us")
                else f"{text} ({ratio:.2f}x)"
            )
        sign = "x" if figure.ratio else f" {figure.unit}"
        goal = "" if figure.must is None else f"{figure.must:g}{sign} / {figure.moonshot:g}{sign}"
        verdicts = [
            verdict(figure, measured.best(figure, each), measured.ratio(figure, each, to)) for each in judged
        ]
        lines.append(
            f"| {figure.name}, {figure.unit} | {' | '.join(cells)} | {goal} | {' | '.join(verdicts)} |"
        )
    return "\n".join(lines)


def as_json(measured: Measured, *, to: str) -> list[Mapping[str, object]]:
    """For programs."""
    rows: list[Mapping[str, object]] = []
    for figure, by_target in measured.values.items():
        for target, values in by_target.items():
            ratio = measured.ratio(figure, target, to)
            best = measured.best(figure, target)
            rows.append(
                {
                    "figure": figure.name,
                    "unit": figure.unit,
                    "target": target,
                    "best": None if math.isnan(best) else best,
                    "ratio": None if math.isnan(ratio) else ratio,
                    "all": [None if math.isnan(each) else each for each in values],
                    "verdict": verdict(figure, best, ratio),
                }
            )
    return rows
