"""What came of a simulation: attainment, replica-hours, and how calm it was."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """The wanted number changed.

    Attributes:
        at: Seconds since the begin.
        before: How many were wanted.
        after: How many are.
        reason: What the policy said, if it says anything.
    """

    at: float
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class Sample:
    """How it stood at a time.

    Attributes:
        at: Seconds since the begin.
        wanted: Replicas that are wanted.
        ready: Replicas that serve.
        outstanding: Requests under way or waiting.
        ended: Requests that ended since the last sample.
        met: How many of those met the objective.
    """

    at: float
    wanted: int
    ready: int
    outstanding: int
    ended: int
    met: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is compared.

    Attributes:
        requests: How many came.
        met: How many met the objective.
        unfinished: How many never ended, because nothing served them for hours; 0 but for policies that give up.
        replica_seconds: Launch to end of all replicas, until the end of the traffic.
        launches: How many were launched after the begin.
        failed_boots: How many of those never became ready.
        changes: Each change of the wanted number.
        mean_ms: The mean latency; None if nothing ended.
        p50_ms: The median latency.
        p95_ms: The latency that 95 % did not exceed.
        samples: One a minute.
    """

    requests: int
    met: int
    unfinished: int
    replica_seconds: float
    launches: int
    failed_boots: int
    changes: tuple[Change, ...]
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    samples: tuple[Sample, ...]

    @property
    def attainment(self) -> float:
        """Percent of the requests that met the objective; 100 if none came."""
        return 100.0 * self.met / self.requests if self.requests else 100.0

    @property
    def replica_hours(self) -> float:
        """What it cost."""
        return self.replica_seconds / 3600.0

    def reversals(self, within_seconds: float) -> int:
        """Changes that go against the one before, which was no longer ago than that: flaps, where it is the stabilisation window."""
        return sum(
            (later.after > later.before) != (earlier.after > earlier.before)
            and later.at - earlier.at <= within_seconds
            for earlier, later in zip(self.changes, self.changes[1:], strict=False)
        )
