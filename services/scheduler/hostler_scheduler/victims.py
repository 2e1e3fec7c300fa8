"""Which replicas give way so that a more urgent one finds room: the fewest, of these the least urgent, of these the youngest.

Pure; `room` offers what may be taken and asks. Only what is expendable is ever offered: every active replica of a preemptible job,
and of every other job what it has above its minimum, those first that serve least and of these the youngest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from math import comb

from hostler_domain.capacity import Resources
from hostler_domain.job import Job, Replica
from hostler_domain.replica_states import ReplicaState

COMBINATIONS_MAX = 2000
"""Sets of one size that are looked at on one node; where there are more, one set is built up and thinned out instead."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A replica that may be taken away."""

    job: Job
    replica: Replica

    @property
    def taken(self) -> Resources:
        """What it gives back."""
        return self.replica.placement.taken

    @property
    def regret(self) -> tuple[int, float, str]:
        """The smaller, the sooner it goes."""
        age = -self.replica.created_at.timestamp()
        return self.job.spec.priority, age, self.replica.replica_id


def expendable(job: Job, active: Iterable[Replica]) -> tuple[Replica, ...]:
    """Of the active replicas those that may be taken away, the first to go first."""

    def by_age(replica: Replica) -> tuple[datetime, str]:
        return replica.created_at, replica.replica_id

    youngest_first = sorted(active, key=by_age, reverse=True)
    serving_last = sorted(youngest_first, key=lambda each: each.state is ReplicaState.READY)
    return tuple(serving_last[: max(len(serving_last) - job.spec.guaranteed_replicas, 0)])


def regrets(victims: Sequence[Victim]) -> tuple[int, tuple[tuple[int, float, str], ...]]:
    """By which sets are compared: the number, then the most urgent of each, and so on."""
    return len(victims), tuple(sorted((victim.regret for victim in victims), reverse=True))


def fewest(room: Resources, needed: Resources, offered: Iterable[Victim]) -> tuple[Victim, ...] | None:
    """The victims that make `needed` fit into `room`; None where all of them together do not."""
    if room.holds(needed):
        return ()
    candidates = sorted(offered, key=lambda victim: victim.regret)
    if not _with(room, candidates).holds(needed):
        return None
    for size in range(1, len(candidates)):
        if comb(len(candidates), size) > COMBINATIONS_MAX:
            return _thinned(room, needed, candidates)
        enough = [chosen for chosen in combinations(candidates, size) if _with(room, chosen).holds(needed)]
        if enough:
            return min(enough, key=regrets)
    return tuple(candidates)


def _with(room: Resources, victims: Iterable[Victim]) -> Resources:
    for victim in victims:
        room += victim.taken
    return room


def _thinned(room: Resources, needed: Resources, candidates: Sequence[Victim]) -> tuple[Victim, ...]:
    """A set that suffices and of which none can be spared, large ones first, so that it is a small set."""
    largest_first = sorted(
        candidates, key=lambda each: (-each.taken.gpus, -each.taken.memory_bytes, -each.taken.cpu_cores)
    )
    chosen: list[Victim] = []
    for victim in largest_first:
        if _with(room, chosen).holds(needed):
            break
        chosen.append(victim)
    for victim in sorted(chosen, key=lambda each: each.regret, reverse=True):
        rest = [each for each in chosen if each is not victim]
        if _with(room, rest).holds(needed):
            chosen = rest
    return tuple(chosen)
