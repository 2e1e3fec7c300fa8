"""What failed replicas mean for the next one: start it at once, wait, or give the job up.

A replica that ended after it had served is replaced at once, because whatever ended it (a host that restarted, say) may be
over. Starts that fail one after the other are tried ever more slowly, and after a few the job is given up.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hostler_domain.job import Job, Replica
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import SERVING_STATES, ReplicaReason, ReplicaState

START_FAILURES_MAX = 5
BACKOFF_FIRST_SECONDS = 2.0
BACKOFF_MAX_SECONDS = 300.0
SHORT_LIFE_SECONDS = 60.0
"""A replica that crashes this soon after it became ready did not really start either."""
SHORT_LIVES_REMEMBERED_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class StartNow:
    """Nothing speaks against a new replica."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The next start waits, because of earlier ones; `why` is for people, so two waits of equal length are equal."""

    until: datetime
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Hopeless:
    """Another start would fail too."""

    reason: PhaseReason
    detail: str


Verdict = StartNow | Wait | Hopeless


def verdict(job: Job, *, now: datetime) -> Verdict:
    """What to make of the job's failures so far.

    | a replica serves   | failed starts | last failure           | verdict                         |
    | ------------------ | ------------- | ---------------------- | ------------------------------- |
    | no                 | >= 1          | CannotStart            | Hopeless(CannotStart)           |
    | no                 | >= 1          | InitializationTimeout, | Hopeless(InitializationTimeout) |
    |                    |               | and none was ever ready|                                 |
    | no                 | >= 5          | any other              | Hopeless(RepeatedCrash)         |
    | any                | otherwise     | any                    | Wait for the backoff, StartNow  |
    """
    failed = _last_failed(job)
    failures = job.status.start_failures
    serving = any(replica.state in SERVING_STATES for replica in job.replicas)
    if failed is not None and failures > 0 and not serving:
        said = failed.detail or "its replica gave no reason"
        if failed.reason is ReplicaReason.CANNOT_START:
            return Hopeless(PhaseReason.CANNOT_START, said)
        if failed.reason is ReplicaReason.INITIALIZATION_TIMEOUT and not _ever_ready(job):
            return Hopeless(PhaseReason.INITIALIZATION_TIMEOUT, said)
        if failures >= START_FAILURES_MAX:
            return Hopeless(
                PhaseReason.REPEATED_CRASH, f"{failures} starts in a row failed, the last one so: {said}"
            )
    if job.status.last_failure_at is None:
        return StartNow()
    until = job.status.last_failure_at + timedelta(seconds=backoff_seconds(_failures_that_count(job, now)))
    return Wait(until, _why(job, failed)) if now < until else StartNow()


def _why(job: Job, failed: Replica | None) -> str:
    said = (failed.detail or str(failed.reason)) if failed is not None else "a replica failed"
    failures = job.status.start_failures
    if failures == 0:
        return f"a replica ended soon after it was ready, the last one so: {said}"
    return f"{failures} {'start' if failures == 1 else 'starts'} in a row failed, the last one so: {said}"


def backoff_seconds(failures: int) -> float:
    """How long the next start waits after this many failures in a row."""
    if failures <= 0:
        return 0.0
    # The exponent is bounded, because a job with one ready replica may fail to start others for days.
    return min(BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 10), BACKOFF_MAX_SECONDS)


def _last_failed(job: Job) -> Replica | None:
    failed = (replica for replica in job.replicas if replica.state is ReplicaState.FAILED)
    return max(failed, key=lambda replica: (replica.since, replica.replica_id), default=None)


def _ever_ready(job: Job) -> bool:
    return job.status.first_ready_at is not None or any(
        replica.ready_at is not None for replica in job.replicas
    )


def _failures_that_count(job: Job, now: datetime) -> int:
    """Failed starts, and replicas that became ready only to crash: all but the first of those, which is replaced at once."""
    remembered_since = now - timedelta(seconds=SHORT_LIVES_REMEMBERED_SECONDS)
    short_lives = sum(
        1
        for replica in job.replicas
        if replica.state is ReplicaState.FAILED
        and replica.reason in (ReplicaReason.CRASHED, ReplicaReason.UNRESPONSIVE)
        and replica.ready_at is not None
        and replica.since > remembered_since
        and replica.since - replica.ready_at < timedelta(seconds=SHORT_LIFE_SECONDS)
    )
    return job.status.start_failures + max(short_lives - 1, 0)
