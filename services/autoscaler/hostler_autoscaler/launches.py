"""What a job's last launches tell: how long a replica takes to serve, how many came to nothing, and which are under way.

Pure, from the job's record alone, which remembers the replicas that live and the latest that ended. So it needs no memory of its own and
is the same after a restart.
"""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

from hostler_domain.job import Job, Replica
from hostler_domain.replica_states import START_STATES, ReplicaReason, ReplicaState

LAUNCHES_MAX: Final = 20
"""How many of the last launches count: machines and images change, and what was long ago tells little."""
COLD_START_SHARE: Final = 0.9
_BOOT_FAILURES: Final = frozenset(
    {
        ReplicaReason.CANNOT_START,
        ReplicaReason.START_FAILED,
        ReplicaReason.INITIALIZATION_TIMEOUT,
        ReplicaReason.LOST,
        ReplicaReason.UNRESPONSIVE,
    }
)
"""Why a replica ends that never served, where nobody wanted it to. One that found no room was never started: more of them would find none either."""


@dataclass(frozen=True, slots=True)
class Launches:
    """A job's last launches.

    Attributes:
        cold_start_seconds: From a replica's placement until it served, which nine of ten launches did not exceed; None before the first.
        finished: How many launches came to an end, good or bad.
        failed: Of them, how many bad.
    """

    cold_start_seconds: float | None
    finished: int
    failed: int


def launches_of(job: Job) -> Launches:
    """The last launches of a job, by its record."""
    finished = [each for each in job.replicas if each.ready_at is not None or _failed(each)]
    finished = sorted(finished, key=lambda each: (each.created_at, each.replica_id))[-LAUNCHES_MAX:]
    took = sorted(
        (each.ready_at - each.created_at).total_seconds() for each in finished if each.ready_at is not None
    )
    # The nearest rank: a time that a launch really took.
    cold_start_seconds = took[ceil(COLD_START_SHARE * len(took)) - 1] if took else None
    return Launches(cold_start_seconds, len(finished), len(finished) - len(took))


def starting_ages(job: Job, now: datetime) -> tuple[float, ...]:
    """For how long each replica that is wanted and does not serve has been starting, the longest first.

    One that serves no more counts from then on, since it either comes back or is replaced. One without a place counts as asked for just now:
    nothing shows how long it has waited, and to ask for another in its place would find no place either.
    """
    ages = [
        (now - (each.since if each.state is ReplicaState.UNHEALTHY else each.created_at)).total_seconds()
        for each in job.active_replicas
        if each.state in START_STATES or each.state is ReplicaState.UNHEALTHY
    ]
    unplaced = max(job.wanted_replicas - len(job.active_replicas), 0)
    return tuple(sorted((max(age, 0.0) for age in ages), reverse=True)) + (0.0,) * unplaced


def draining(job: Job) -> int:
    """Replicas that finish what they have."""
    return sum(each.state is ReplicaState.DRAINING for each in job.replicas)


def _failed(replica: Replica) -> bool:
    return replica.state is ReplicaState.FAILED and replica.reason in _BOOT_FAILURES
