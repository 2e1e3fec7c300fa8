"""What the policy answers: a number of replicas, one sentence why, and everything that was weighed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ProposalKind(StrEnum):
    """Where a proposed number comes from."""

    RATE = "rate"
    """Requests per second by what a replica carries."""
    CONCURRENCY = "concurrency"
    """Requests under way and waiting by how many a replica shall have."""
    LATENCY = "latency"
    """What brings the 95th percentile back, or keeps it, where no token time tells more."""
    BACKLOG = "backlog"
    """What works off the requests that have piled up."""
    FORECAST = "forecast"
    """What will be needed when a replica asked for now begins to serve."""
    WAKE = "wake"
    """A request came for a job without replicas."""
    IDLE = "idle"
    """Nobody has wanted anything for so long that the job may sleep."""
    FLOOR = "floor"
    """The job's lower bound."""
    CEILING = "ceiling"
    """The job's upper bound."""
    HOLD = "hold"
    """What must not be left yet: missing news, the window, the survivors' load, the pace."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A number of replicas that one consideration asks for, a sentence with its figures, and the figures."""

    kind: ProposalKind
    replicas: int
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


class AdviceKind(StrEnum):
    """What the owner of a job might change."""

    RAISE_MIN_REPLICAS = "raise_min_replicas"
    """Bursts are shorter than the cold start."""
    TARGET_RPS_TOO_HIGH = "target_rps_too_high"
    """A replica does not carry the target within the latency."""
    TARGET_RPS_TOO_LOW = "target_rps_too_low"
    """A replica carries far more than the target."""
    CONTENT_BOUND = "content_bound"
    """The answers are too long for the latency target; replicas do not help."""
    AT_MAX_REPLICAS = "at_max_replicas"
    """More would be needed than the upper bound allows."""
    BOOTS_FAIL = "boots_fail"
    """Replicas asked for do not come."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change, in a sentence, with the evidence."""

    kind: AdviceKind
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, and why.

    Attributes:
        replicas: The number, within the job's bounds.
        reason: One sentence with the numbers.
        proposals: Everything that was weighed, in a fixed order.
        hold: It would have been decided otherwise, or not at all, with enough good data.
        advice: What the owner might change; the same as long as its cause lasts.
    """

    replicas: int
    reason: str
    proposals: tuple[Proposal, ...] = ()
    hold: bool = False
    advice: tuple[Advice, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The verdict, then a sentence per proposal."""
        return (self.reason, *(proposal.sentence for proposal in self.proposals))
