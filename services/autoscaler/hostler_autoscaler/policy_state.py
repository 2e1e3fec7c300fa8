"""What the policy carries from one decision to the next, as a small JSON value: in `job.scaled`, and in a bucket between changes.

Times are seconds since 1970, so that they are short and come back exactly.
"""

from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from hostler_autoscaler.backoff import Backoff
from hostler_autoscaler.bursts import Bursts
from hostler_autoscaler.demand import RateHistory
from hostler_autoscaler.engine_fit import EngineFit
from hostler_autoscaler.holding import Holding
from hostler_autoscaler.peaks import Peaks
from hostler_autoscaler.shape import Shape

VERSION = 1


@dataclass(frozen=True, slots=True)
class PolicyState:
    """The memory of one job's scaling; a fresh one knows nothing and is cautious.

    Attributes:
        version: Of this layout; another one reads as fresh.
        observed_at: When there was good news last.
        valid_since: Since when there has been good news without a gap; None while there is none.
        active_at: When a request was seen last, or the job was last waking up.
        slept_at: When it was sent to sleep; None while it has replicas.
        ready: How many replicas served at the last look.
        settled_at: When that number changed last: latencies of before tell nothing of now.
        sampled_at: When the engine was last learned from.
        x: Requests at a time per replica, smoothed over a minute: where it stands still, a sample may be taken.
        serves: The fingerprint of the replicas that `engine` and `shape` tell of; None where nobody said.
        engine: What answers cost.
        shape: What requests are like.
        work: Seconds of audio of a usual request, of a job that listens.
        rps: What a replica was last counted with by what was learned.
        rates: The last half hour.
        peaks: The needs of the window.
        lasting: Likewise without backlogs, for as long as a surge is remembered.
        quick: The needs of the busiest seconds, of a job with a short window.
        backoff: What was learned from regrets.
        holding: What load that came back has taught.
        bursts: Those that were over before help could come.
        advised: Which advice holds, so that it does not come and go.
    """

    version: int = VERSION
    observed_at: float | None = None
    valid_since: float | None = None
    active_at: float | None = None
    slept_at: float | None = None
    ready: int = 0
    settled_at: float | None = None
    sampled_at: float = 0.0
    x: float = 0.0
    serves: str | None = None
    engine: EngineFit = field(default_factory=EngineFit)
    shape: Shape | None = None
    work: float | None = None
    rps: float | None = None
    rates: RateHistory = field(default_factory=RateHistory)
    peaks: Peaks = field(default_factory=Peaks)
    lasting: Peaks = field(default_factory=Peaks)
    quick: Peaks = field(default_factory=Peaks)
    backoff: Backoff = field(default_factory=Backoff)
    holding: Holding = field(default_factory=Holding)
    bursts: Bursts = field(default_factory=Bursts)
    advised: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Compact, with the same bytes for the same state."""
        return _ADAPTER.dump_json(self, exclude_defaults=True).decode()

    @staticmethod
    def from_json(text: str | bytes) -> "PolicyState":
        """The state that was written; what another version wrote, or nobody, reads as fresh."""
        try:
            state = _ADAPTER.validate_json(text)
        except ValidationError:
            return PolicyState()
        return state if state.version == VERSION else PolicyState()


_ADAPTER: TypeAdapter[PolicyState] = TypeAdapter(PolicyState)
