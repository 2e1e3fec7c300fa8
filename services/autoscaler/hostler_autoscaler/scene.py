"""What the considerations look at, and what each of them gives."""

import math
from dataclasses import dataclass

from hostler_autoscaler.capacity import Capacity
from hostler_autoscaler.decision import Proposal, ProposalKind
from hostler_autoscaler.demand import Demand
from hostler_autoscaler.learning import Sensed
from hostler_autoscaler.observation import LoadSignals, Observation
from hostler_autoscaler.policy_state import PolicyState

SLACK = 0.05
"""Share of a replica by which a need may exceed a whole number: 3.02 replicas' worth of load is served by 3."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A need in replicas, not rounded, and the proposal that tells it; `lasting` if it tells of what comes, not of what has piled up."""

    need: float
    proposal: Proposal
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the considerations look at.

    Attributes:
        state: What is remembered, what this look taught included.
        observation: What was told.
        load: Its load, which is known.
        sensed: The same in the policy's units.
        demand: The rate to be ready for.
        capacity: What a replica is counted with.
        now: Seconds since 1970.
        latency_ms: The target for the 95th percentile, if there is one.
        cold_start_seconds: From asking for a replica until it serves.
        arriving_seconds: Until the next that is starting serves, or one asked for now would.
        overdue: How many have been starting for so long that they will not come.
    """

    state: PolicyState
    observation: Observation
    load: LoadSignals
    sensed: Sensed
    demand: Demand
    capacity: Capacity
    now: float
    latency_ms: float | None
    cold_start_seconds: float
    arriving_seconds: float
    overdue: int


def replicas_for(need: float) -> int:
    """Whole replicas for a need."""
    return max(math.ceil(need - SLACK), 0)


def made(kind: ProposalKind, need: float, sentence: str, *, lasting: bool = True, **numbers: float) -> Wanted:
    """A need, told with its number."""
    replicas = replicas_for(need)
    told = f"{kind}: {sentence} = {need:.2f}: {replicas} replica" + ("" if replicas == 1 else "s")
    return Wanted(need, Proposal(kind, replicas, told, {"need": round(need, 3), **numbers}), lasting)
