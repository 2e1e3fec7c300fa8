"""What the API answers about scaling: decisions, as pydantic models that are read leniently."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

from hostler_client.models import Scaling


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Proposal(_Answer):
    """A number of replicas that one consideration asked for, in a sentence with its figures."""

    kind: str
    replicas: int
    sentence: str = ""
    numbers: Mapping[str, float] = {}


class Advice(_Answer):
    """One thing that the job's owner might change, with the evidence."""

    kind: str
    sentence: str = ""
    numbers: Mapping[str, float] = {}


class ShadowDecision(_Answer):
    """What the shadow policy would have decided at the same moment."""

    replicas: int
    reason: str = ""
    hold: bool = False
    proposals: tuple[Proposal, ...] = ()
    scaling: Scaling | None = None


class ScalingDecision(_Answer):
    """One decision of the autoscaler. `inputs` and `state` are what it was made from; `bounds` says why they were narrower than the job's."""

    sequence: int
    at: datetime
    previous_replicas: int
    replicas: int
    kind: str = ""
    reason: str = ""
    hold: bool = False
    proposals: tuple[Proposal, ...] = ()
    advice: tuple[Advice, ...] = ()
    scaling: Scaling | None = None
    bounds: tuple[str, ...] = ()
    inputs: Mapping[str, JsonValue] = {}
    state: str = ""
    shadow: ShadowDecision | None = None


class DecisionPage(_Answer):
    """One page of decisions, oldest first."""

    data: tuple[ScalingDecision, ...]
    has_more: bool = False
    next: int | None = None


class Engine(_Answer):
    """What one replica is taken to be like: milliseconds per unit alone, and what each request that shares it adds."""

    unit: str
    alpha_ms: float
    beta_ms: float
    units_per_request: float
    guessed: bool = False


class ReplayPoint(_Answer):
    """How a replay stood at a moment."""

    at: datetime
    wanted: int
    ready: int = 0
    outstanding: int = 0


class Replay(_Answer):
    """What came of one replay; a flap is a change against the one before, within the stabilisation window."""

    attainment: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    replica_hours: float
    cost: float = 0.0
    launches: int = 0
    changes: int = 0
    flaps: int = 0
    unfinished: int = 0
    points: tuple[ReplayPoint, ...] = ()


class Rate(_Answer):
    """Requests per second around a moment."""

    at: datetime
    rps: float


class Simulation(_Answer):
    """Two replays of the same recorded traffic: as it was, and with other settings."""

    job_id: str
    policy: str
    scaling: Scaling | None = None
    begin: datetime
    end: datetime
    requests: int
    unknown_seconds: float = 0.0
    engine: Engine
    cold_start_seconds: float = 0.0
    price_per_hour: float = 0.0
    notes: tuple[str, ...] = ()
    traffic: tuple[Rate, ...] = ()
    was: Replay
    would: Replay
