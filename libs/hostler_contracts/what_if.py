"""The question what a job's recorded traffic would have led to under other settings, which the api asks an autoscaler."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field

from hostler_contracts.envelope import Contract
from hostler_domain.scaling import Scaling


class ReplayPolicy(StrEnum):
    """What decides in a replay."""

    HOSTLER = "hostler"
    """The policy that really decides."""
    HPA = "hpa"
    """Kubernetes' Horizontal Pod Autoscaler on requests per second; KEDA leaves one to many replicas to it. These and those below follow
    the rules that the systems document.
    """
    HPA_P95 = "hpa-p95"
    """The same on the 95th percentile of latency as well."""
    KNATIVE = "knative"
    RAY = "ray"
    DSTACK = "dstack"
    SKYSERVE = "skyserve"
    AIBRIX = "aibrix"
    DYNAMO = "dynamo"
    MAX = "max"
    """All replicas all the time: what could be attained at most."""


BACK_SECONDS_MAX: Final = 3 * 24 * 3600
SIMULATION_SECONDS_MAX: Final = 90.0
"""How long one may take; whoever asks waits a little longer."""


class SimulationQuestion(Contract):
    """Asked by an api, which has found the job and checked the settings.

    Attributes:
        project: Of the job.
        job_id: Which one.
        scaling: The settings to try.
        policy: What decides.
        back_seconds: How far to look back.
    """

    project: str
    job_id: str
    scaling: Scaling
    policy: ReplayPolicy = ReplayPolicy.HOSTLER
    back_seconds: float = Field(gt=0, le=BACK_SECONDS_MAX)


class EngineTold(Contract):
    """What one replica is taken to be like.

    Attributes:
        unit: What its answers are counted in: tokens, seconds of audio or requests.
        alpha_ms: Milliseconds that a unit takes however few requests share the replica.
        beta_ms: What each of them adds.
        units_per_request: On average.
        guessed: The load never varied enough to learn this; it follows from the targets.
    """

    unit: str
    alpha_ms: float
    beta_ms: float
    units_per_request: float
    guessed: bool = False


class PointTold(Contract):
    """How a replay stood at a moment."""

    at: datetime
    wanted: int
    ready: int
    outstanding: int


class ReplayTold(Contract):
    """What came of one replay.

    Attributes:
        attainment: Percent of the requests that ended within the latency target; None without one.
        p50_ms: Of whole requests.
        p95_ms: Likewise.
        replica_hours: From launch to end of all replicas.
        launches: Replicas that were started.
        changes: How often the number changed.
        flaps: How many of these went against the one before, within the stabilisation window.
        unfinished: Requests that nothing ever answered.
        points: How it went, evenly spaced.
    """

    attainment: float | None
    p50_ms: float | None
    p95_ms: float | None
    replica_hours: float
    launches: int
    changes: int
    flaps: int
    unfinished: int = 0
    points: tuple[PointTold, ...] = ()


class RateTold(Contract):
    """Requests per second that came around a moment."""

    at: datetime
    rps: float


class SimulationAnswer(Contract):
    """Answered by an autoscaler.

    Attributes:
        refusal: Why nothing could be replayed; empty where it could.
        begin: When the recorded traffic begins.
        end: When it ends.
        requests: How many came.
        unknown_seconds: For how long of that nothing is recorded; it counts as time without requests.
        engine: What the replicas are taken to be like.
        cold_start_seconds: From launch to ready.
        notes: What else was assumed, a sentence each.
        traffic: What came.
        was: The same traffic and engine with the numbers of replicas that there were.
        would: With the settings that were asked for.
    """

    refusal: str = ""
    begin: datetime | None = None
    end: datetime | None = None
    requests: int = 0
    unknown_seconds: float = 0.0
    engine: EngineTold | None = None
    cold_start_seconds: float | None = None
    notes: tuple[str, ...] = ()
    traffic: tuple[RateTold, ...] = ()
    was: ReplayTold | None = None
    would: ReplayTold | None = None
