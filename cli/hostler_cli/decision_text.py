"""Decisions about a job's number of replicas as a timeline: what changed when, on which figures. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from hostler_client.scaling_models import ScalingDecision

HEADINGS: Final = ("TIME", "REPLICAS", "READY", "RPS", "BUSY", "QUEUED", "P95 MS", "WHY")


def timeline(decisions: Iterable[ScalingDecision], *, full: bool = False) -> Iterator[tuple[str, ...]]:
    """A line for each decision; ones that say the same as those around them are told together, unless all are wanted."""
    listed = list(decisions)
    for first, last, many in _runs(listed) if not full else ((each, each, 1) for each in listed):
        until = "" if many == 1 else f"-{_clock(last.at)}"
        times = "" if many == 1 else f" ({many} times)"
        yield (f"{_clock(first.at)}{until}", _replicas(first), *_figures(last), f"{last.reason}{times}")


def weighed(decision: ScalingDecision) -> Iterator[str]:
    """Everything that one decision was made from, a line each."""
    yield f"decided {_clock(decision.at)}, {_replicas(decision)} replicas: {decision.reason}"
    yield from (f"  {line}" for line in decision.bounds)
    for proposal in decision.proposals:
        yield f"  {proposal.kind}: {proposal.replicas} ({proposal.sentence})"
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


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


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
    return f"{value:.4g}" if isinstance(value, int | float) else "-"
