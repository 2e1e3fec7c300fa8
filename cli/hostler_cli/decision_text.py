"""Decisions about a job's number of replicas as a timeline: what changed when, on which figures. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from hostler_cli.decision_words import counted
from hostler_client.scaling_models import ScalingDecision

HEADINGS: Final = ("TIME", "REPLICAS", "READY", "RPS", "BUSY", "QUEUED", "P95 MS", "WHY")


def timeline(decisions: Iterable[ScalingDecision], *, full: bool = False) -> Iterator[tuple[str, ...]]:
    """A line for each decision; ones that say the same as those around them are told together, unless all are wanted."""
    listed = list(decisions)
    # Hours alone would be told twice of a timeline of days.
    days = len({each.at.astimezone().date() for each in listed}) > 1
    for first, last, many in _runs(listed) if not full else ((each, each, 1) for each in listed):
        until = "" if many == 1 else f"-{_clock(last.at, day=days and not _same_day(first, last))}"
        times = "" if many == 1 else f" ({many} times)"
        why = "; ".join((last.reason, *last.bounds))
        yield (f"{_clock(first.at, day=days)}{until}", _replicas(first), *_figures(last), f"{why}{times}")


def weighed(decision: ScalingDecision) -> Iterator[str]:
    """Everything that one decision was made from, a line each."""
    number = (
        _replicas(decision) if decision.replicas != decision.previous_replicas else counted(decision.replicas)
    )
    yield f"decided {_clock(decision.at, day=True)}, {number}: {decision.reason}"
    yield from (f"  {line}" for line in decision.bounds)
    for proposal in decision.proposals:
        sentence = proposal.sentence.removeprefix(f"{proposal.kind}: ")
        yield f"  {proposal.kind}: {proposal.replicas} ({sentence})"
    if decision.shadow is not None:
        yield f"  the shadow policy: {decision.shadow.replicas} ({decision.shadow.reason})"
    yield from (f"  advice: {each.sentence}" for each in decision.advice)


def _runs(decisions: Sequence[ScalingDecision]) -> Iterator[tuple[ScalingDecision, ScalingDecision, int]]:
    """The first, the last and the number of those in a row that rest on the same and change nothing."""
    begin = 0
    for index in range(1, len(decisions) + 1):
        if index < len(decisions) and _alike(decisions[begin], decisions[index]):
            continue
        yield decisions[begin], decisions[index - 1], index - begin
        begin = index


def _alike(one: ScalingDecision, other: ScalingDecision) -> bool:
    stays = one.replicas == one.previous_replicas and other.replicas == other.previous_replicas
    return stays and (one.replicas, one.kind, one.bounds) == (other.replicas, other.kind, other.bounds)


def _clock(moment: datetime, *, day: bool = False) -> str:
    return f"{moment.astimezone():%m-%d %H:%M:%S}" if day else f"{moment.astimezone():%H:%M:%S}"


def _same_day(one: ScalingDecision, other: ScalingDecision) -> bool:
    return one.at.astimezone().date() == other.at.astimezone().date()


def _replicas(decision: ScalingDecision) -> str:
    if decision.replicas == decision.previous_replicas:
        return str(decision.replicas)
    return f"{decision.previous_replicas} -> {decision.replicas}"


def _figures(decision: ScalingDecision) -> tuple[str, ...]:
    load = decision.inputs.get("load")
    told = load if isinstance(load, Mapping) else {}
    return (
        _number(decision.inputs.get("ready")),
        _number(told.get("rps")),
        _number(told.get("in_flight")),
        _number(told.get("queued")),
        _number(told.get("p95_ms")),
    )


def _number(value: object) -> str:
    """Three digits, and never fewer than those before the point."""
    if not isinstance(value, int | float):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
