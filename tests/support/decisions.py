"""Decisions for tests: observations, and what is written down of them."""

from dataclasses import replace
from datetime import datetime

from hostler_autoscaler.decision import Decision, Proposal, ProposalKind
from hostler_autoscaler.observation import LoadSignals, NoData, Observation
from hostler_autoscaler.policy_state import PolicyState
from hostler_autoscaler.records import Made
from hostler_domain.scaling import Scaling, ScalingMetric, ScalingTarget
from tests.support.builders import NOW

SCALING = Scaling(min_replicas=1, max_replicas=8, targets=(ScalingTarget(ScalingMetric.THROUGHPUT, 5.0),))


def observed_job(
    now: datetime = NOW, *, desired: int = 1, load: LoadSignals | NoData | None = None, **more: object
) -> Observation:
    """A job at one moment, with so many replicas that all serve."""
    signals = LoadSignals(rps=4.0, in_flight=6, p95_ms=1200.0) if load is None else load
    return replace(
        Observation(now=now, desired=desired, ready=desired, load=signals),
        **more,  # type: ignore[arg-type]  # a test's overrides are checked by the test itself
    )


def made(
    now: datetime = NOW,
    *,
    desired: int = 1,
    replicas: int = 1,
    reason: str = "as it is",
    kind: ProposalKind = ProposalKind.RATE,
    scaling: Scaling = SCALING,
    load: LoadSignals | NoData | None = None,
) -> Made:
    """A decision for so many replicas, whatever any policy would say."""
    proposal = Proposal(kind, replicas, f"{kind} asks for {replicas}", {"rps": 4.0})
    decision = Decision(replicas, reason, (proposal,))
    return Made(PolicyState(), observed_job(now, desired=desired, load=load), scaling, decision)
