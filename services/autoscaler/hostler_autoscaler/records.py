"""Decision records: what is written down of a decision, when, and the same decision made again from it.

Pure. `recorder` writes what this makes, the what-if reads it, and a test decides again from recorded histories: a record holds everything
that `decide` was given, so the answer comes out the same to the byte.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue, TypeAdapter, ValidationError

from hostler_autoscaler.decide import decide
from hostler_autoscaler.decision import Decision, ProposalKind
from hostler_autoscaler.observation import Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_contracts.decisions import AdviceTold, DecisionRecord, DecisionTold, ProposalTold, ShadowTold
from hostler_domain.errors import PermanentError
from hostler_domain.scaling import Scaling

RECORDED_EVERY = timedelta(seconds=60)
KIND_RECORDED_EVERY = timedelta(seconds=10)
"""Two proposals of nearly the same size may take turns each tick; that is worth a record now and then only."""

_OBSERVATION: TypeAdapter[Observation] = TypeAdapter(Observation)

Decide = Callable[[PolicyState, Observation, Scaling], tuple[PolicyState, Decision]]


class UnreadableRecord(PermanentError):
    """A record whose observation another version wrote."""


@dataclass(frozen=True, slots=True)
class Made:
    """One decision and what it was made from, as `decide` was called."""

    state: PolicyState
    observation: Observation
    scaling: Scaling
    decision: Decision


@dataclass(frozen=True, slots=True)
class Noted:
    """What of a job's last record says whether the next is due."""

    at: datetime
    replicas: int
    kind: str
    shadow_replicas: int | None = None


def noted(made: Made, shadow: Made | None = None) -> Noted:
    """The same of a decision."""
    return Noted(
        made.observation.now,
        made.decision.replicas,
        kind_of(made.decision, made.observation.desired),
        None if shadow is None else shadow.decision.replicas,
    )


def is_due(last: Noted | None, now: Noted) -> bool:
    """Whether a decision is written down: a first one, another number (also of the shadow), another kind of reason, or a minute later.

    | first | number changed | kind changed | since the last record | due |
    | --- | --- | --- | --- | --- |
    | yes | | | | yes |
    | no | yes | | | yes |
    | no | no | yes | 10 s or more | yes |
    | no | no | | 60 s or more | yes |
    """
    if last is None or (last.replicas, last.shadow_replicas) != (now.replicas, now.shadow_replicas):
        return True
    passed = now.at - last.at
    return passed >= RECORDED_EVERY or (last.kind != now.kind and passed >= KIND_RECORDED_EVERY)


def kind_of(decision: Decision, desired: int) -> str:
    """The direction, and the proposal that gave the number: `up: backlog`, `stay: rate`, `hold` where news were missing."""
    if decision.replicas != desired:
        direction = "up" if decision.replicas > desired else "down"
    else:
        direction = "hold" if decision.hold else "stay"
    bounds = (ProposalKind.FLOOR, ProposalKind.CEILING)
    gave = [each.kind for each in decision.proposals if each.replicas == decision.replicas]
    # A bound is among the proposals also where it binds nothing; it is the reason where nothing else asks for its number.
    found = next((kind for kind in gave if kind not in bounds), gave[0] if gave else None)
    return direction if found is None else f"{direction}: {found}"


def record_of(made: Made, *, bounds: tuple[str, ...] = (), shadow: Made | None = None) -> DecisionRecord:
    """The record of a decision, with what a second policy would have decided."""
    return DecisionRecord(
        at=made.observation.now,
        previous_replicas=made.observation.desired,
        decision=told(made.decision),
        kind=kind_of(made.decision, made.observation.desired),
        scaling=made.scaling,
        bounds=bounds,
        observation=observation_json(made.observation),
        state=made.state.to_json(),
        shadow=None
        if shadow is None
        else ShadowTold(
            scaling=shadow.scaling,
            state=shadow.state.to_json(),
            observation=observation_json(shadow.observation),
            decision=told(shadow.decision),
        ),
    )


def decided_again(record: DecisionRecord | ShadowTold, *, by: Decide = decide) -> DecisionTold:
    """The decision that follows from what a record holds; the same as the recorded one for as long as the policy is the same.

    Raises:
        UnreadableRecord: its observation is none of this version.
    """
    _, decision = by(PolicyState.from_json(record.state), observed(record.observation), record.scaling)
    return told(decision)


def told(decision: Decision) -> DecisionTold:
    """A decision as it stands on the wire."""
    return DecisionTold(
        replicas=decision.replicas,
        reason=decision.reason,
        proposals=tuple(
            ProposalTold(
                kind=each.kind.value,
                replicas=each.replicas,
                sentence=each.sentence,
                numbers=_finite(each.numbers),
            )
            for each in decision.proposals
        ),
        hold=decision.hold,
        advice=tuple(
            AdviceTold(kind=each.kind.value, sentence=each.sentence, numbers=_finite(each.numbers))
            for each in decision.advice
        ),
    )


def observation_json(observation: Observation) -> Mapping[str, JsonValue]:
    """An observation as a plain value."""
    value: Mapping[str, JsonValue] = _OBSERVATION.dump_python(observation, mode="json")
    return value


def observed(value: Mapping[str, JsonValue]) -> Observation:
    """The observation in a record.

    Raises:
        UnreadableRecord: there is none of this version.
    """
    try:
        return _OBSERVATION.validate_python(value)
    except ValidationError as error:
        raise UnreadableRecord(f"no observation: {error.error_count()} fields are wrong") from None


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """JSON knows no infinity; a figure that has none says nothing."""
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
