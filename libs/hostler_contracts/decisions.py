"""Decisions: how many replicas the autoscaler wanted a job to have, what it was told, and everything that it weighed.

The autoscaler appends one to the DECISIONS stream when the number or the kind of its reason changes, and each minute besides. A record holds
all that the decision was made from, so whoever decides again from it comes to the same to the byte. Nothing is decided from the
stream itself: a record that is lost costs an explanation.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from hostler_contracts.envelope import CloudEvent, Contract
from hostler_domain.errors import PermanentError
from hostler_domain.scaling import Scaling


class ProposalTold(Contract):
    """A number of replicas that one consideration asked for.

    Attributes:
        kind: Which consideration, such as `rate`, `backlog` or `floor`.
        replicas: The number.
        sentence: Why, with the figures.
        numbers: The figures.
    """

    kind: str
    replicas: int
    sentence: str
    numbers: Mapping[str, float] = Field(default_factory=dict)


class AdviceTold(Contract):
    """One thing that the job's owner might change, in a sentence, with the evidence."""

    kind: str
    sentence: str
    numbers: Mapping[str, float] = Field(default_factory=dict)


class DecisionTold(Contract):
    """A number of replicas and why.

    Attributes:
        replicas: The number.
        reason: One sentence with the figures.
        proposals: Everything that was weighed.
        hold: It would have been decided otherwise, or not at all, with enough good data.
        advice: What the owner might change.
    """

    replicas: int
    reason: str
    proposals: tuple[ProposalTold, ...] = ()
    hold: bool = False
    advice: tuple[AdviceTold, ...] = ()


class ShadowTold(Contract):
    """What a second policy would have decided at the same moment; nobody did anything about it.

    Attributes:
        scaling: What it went by.
        state: What it remembered before.
        observation: What it was told; another number of replicas is up where it decides than where the first one does.
        decision: Its answer.
    """

    scaling: Scaling
    state: str
    observation: Mapping[str, JsonValue]
    decision: DecisionTold


class DecisionRecord(Contract):
    """One decision with what it was made from.

    Attributes:
        at: When it was made.
        previous_replicas: How many were asked for before.
        decision: The answer.
        kind: What it rested on: the direction and the proposal that gave the number, such as `up: backlog`.
        scaling: Bounds and targets that held at that moment.
        bounds: Why the bounds are narrower than the job's own, a sentence each: windows of its schedule, a hold.
        observation: What the policy was told, as the autoscaler writes it; it alone reads all of it.
        state: What the policy remembered before, likewise.
        shadow: Of the policy that runs beside, where there is one.
    """

    at: datetime
    previous_replicas: int
    decision: DecisionTold
    kind: str
    scaling: Scaling
    bounds: tuple[str, ...] = ()
    observation: Mapping[str, JsonValue]
    state: str
    shadow: ShadowTold | None = None


class ScalingDecidedV1(CloudEvent):
    """`scaling.decided`, version 1."""

    type: Literal["dev.hostler.scaling.decided.v1"] = "dev.hostler.scaling.decided.v1"
    data: DecisionRecord


class UndecodableDecision(PermanentError):
    """Bytes that are no decision."""


def encode_decision(event: ScalingDecidedV1) -> bytes:
    """The structured JSON form."""
    return event.model_dump_json().encode()


def decode_decision(data: bytes) -> ScalingDecidedV1:
    """The decision in `data`.

    Raises:
        UndecodableDecision: there is none in it.
    """
    try:
        return ScalingDecidedV1.model_validate_json(data)
    except ValidationError as error:
        raise UndecodableDecision(f"no decision: {error.error_count()} fields are wrong") from None
