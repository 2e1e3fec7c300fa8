"""Replacing the replicas of an earlier generation, one at a time, without taking from a job what it serves with.

Pure; `place.plan` calls it for every job that has such replicas, whether an update or a restart made them old. Only ready
replicas count as serving, so none that serves is given up for one that merely starts: where there is room, one replica more
than is wanted is started, and an old one ends once as many are ready as are wanted without it. Where there is none, and only
there, one old replica ends first, if a new one will find a place then.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hostler_domain.job import Job, Replica
from hostler_domain.replica_states import ACTIVE_STATES, ENDED_STATES, ReplicaReason, ReplicaState
from hostler_scheduler.actions import DrainReplica, ScheduleReplica
from hostler_scheduler.room import Room

SURGE_REPLICAS = 1
"""Replicas above the wanted number while old ones are replaced."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What to do about one job now.

    Attributes:
        actions: In order.
        waits_to_start: It wants to start a replica and may not yet.
        waits_for_room: It wants to start one, may, and nothing that is under way will give it room.
    """

    actions: tuple[ScheduleReplica | DrainReplica, ...]
    waits_to_start: bool = False
    waits_for_room: bool = False


def rolling(job: Job) -> bool:
    """Whether there is something to replace."""
    return job.wanted_replicas > 0 and bool(job.outdated_replicas)


def something_ends(job: Job) -> bool:
    """Whether a replica of the job is on its way out, which will give its room back."""
    return any(replica.state not in (*ACTIVE_STATES, *ENDED_STATES) for replica in job.replicas)


def rollout(job: Job, room: Room, new_ids: Callable[[], str], *, may_start: bool) -> Rollout:
    """The next step of the replacement; `may_start` is False while earlier failures ask for a wait.

    | old replica                | new replicas                 | room          | what happens                         |
    | -------------------------- | ---------------------------- | ------------- | ------------------------------------ |
    | does not serve             | any                          | any           | it ends at once                      |
    | serves                     | with it more ready than      | any           | it ends                              |
    |                            | wanted                       |               |                                      |
    | serves                     | fewer than wanted, no surge  | some          | one more is started                  |
    | serves                     | all ready, nothing is ending | after its end | it ends first, one is started then   |
    | serves, the last to do so  | none, and fewer active than  | after its end | it stays, and the job says why       |
    |                            | wanted                       |               |                                      |
    | serves                     | all ready, nothing is ending | none at all   | it stays, and the job says why       |
    | serves                     | one starts, or one is ending | any           | it stays                             |
    """
    wanted = job.wanted_replicas
    new, ready_new, serving, ending, too_many = _sorted_out(job)
    actions: list[ScheduleReplica | DrainReplica] = list(ends(job))
    active = len(new) - len(too_many) + len(serving)
    limit = wanted + (SURGE_REPLICAS if serving else 0)
    to_start = min(wanted - len(new), limit - active)
    if to_start <= 0:
        return Rollout(tuple(actions))
    if not may_start:
        return Rollout(tuple(actions), waits_to_start=True)
    placed = _placed(job, to_start, room, new_ids)
    actions += placed
    if placed:
        return Rollout(tuple(actions))
    if something_ends(job) or ending or len(ready_new) < len(new):
        return Rollout(tuple(actions))
    makes_room = next((each for each in serving if room.has_place_once_ended(job, each.placement)), None)
    # Its room may go to another job that waits; so the last that serves is given up only by a job that has all it wants.
    expendable = active == wanted or (active < wanted and len(serving) + len(ready_new) > 1)
    if makes_room is None or not expendable:
        return Rollout(tuple(actions), waits_for_room=True)
    return Rollout((*actions, _replaced(job, makes_room, yields_to=job.job_id)))


def ends(job: Job) -> tuple[DrainReplica, ...]:
    """What the replacement ends whatever room there is: old ones that do not serve or are not needed to, and new ones too many."""
    _, _, _, ending, too_many = _sorted_out(job)
    return (
        *(_replaced(job, replica) for replica in ending),
        *(DrainReplica(job.job_id, each.replica_id, ReplicaReason.SCALED_DOWN) for each in too_many),
    )


def _sorted_out(
    job: Job,
) -> tuple[list[Replica], list[Replica], list[Replica], list[Replica], list[Replica]]:
    """Active replicas: the new ones and of these the ready ones, the old ones that stay and that end, and new ones too many."""
    wanted = job.wanted_replicas
    new = [replica for replica in job.active_replicas if replica.generation >= job.generation]
    oldest_first = sorted(
        job.outdated_replicas, key=lambda each: (each.generation, each.created_at, each.replica_id)
    )
    serving = [replica for replica in oldest_first if replica.state is ReplicaState.READY]
    ending = [replica for replica in oldest_first if replica.state is not ReplicaState.READY]
    ready_new = [replica for replica in new if replica.state is ReplicaState.READY]
    spare = max(len(ready_new) + len(serving) - wanted, 0)
    # Fewer may be wanted than there are new ones by now: those that serve least go, and of these the youngest.
    by_age = sorted(new, key=lambda each: (each.created_at, each.replica_id), reverse=True)
    too_many = sorted(by_age, key=lambda each: each.state is ReplicaState.READY)[: max(len(new) - wanted, 0)]
    return new, ready_new, serving[spare:], [*ending, *serving[:spare]], too_many


def _placed(job: Job, number: int, room: Room, new_ids: Callable[[], str]) -> list[ScheduleReplica]:
    found: list[ScheduleReplica] = []
    for _ in range(number):
        place = room.place(job)
        if place is None:
            break
        placement, reasons = place
        found.append(ScheduleReplica(job.job_id, new_ids(), placement, reasons))
    return found


def _replaced(job: Job, replica: Replica, yields_to: str | None = None) -> DrainReplica:
    return DrainReplica(job.job_id, replica.replica_id, ReplicaReason.REPLACED, yields_to)
