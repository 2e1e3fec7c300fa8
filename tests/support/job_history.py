"""A judge of the JOBS stream that trusts nothing but the stream: it folds every change itself and names what is not right.

It looks at what the events say happened, never at a service's own view: the order of each job's events, whether the record in each
is what a fold gives, that a replica is given a place once, that no job has more replicas than it may, and that no node was ever
given more than it has.
"""

from collections.abc import Iterable, Mapping

from hostler_bus.port import Message
from hostler_contracts import codec
from hostler_domain.capacity import Resources
from hostler_domain.changes import ReplicaScheduled
from hostler_domain.errors import IllegalTransition
from hostler_domain.evolve import evolve
from hostler_domain.job import Job


def violations(messages: Iterable[Message], rooms: Mapping[str, float]) -> list[str]:
    """What is wrong with a history, oldest message first.

    Args:
        messages: Every message of the stream.
        rooms: CPU cores that each node has, by its key.
    """
    jobs: dict[str, Job] = {}
    placed: dict[str, str] = {}
    found: list[str] = []
    for message in messages:
        event = codec.decode(message.data)
        change, record = event.data.change, event.data.job  # type: ignore[union-attr]  # every kind is known here
        job_id = event.subject
        try:
            jobs[job_id] = evolve(jobs.get(job_id), change)
        except IllegalTransition as illegal:
            found.append(f"{message.seq}: {job_id}: {illegal}")
            jobs[job_id] = record
            continue
        if jobs[job_id] != record:
            found.append(f"{message.seq}: {job_id}: the record is not what the changes before it give")
        job = jobs[job_id]
        if isinstance(change, ReplicaScheduled):
            if change.replica_id in placed:
                found.append(f"{message.seq}: {change.replica_id} is placed a second time")
            placed[change.replica_id] = job_id
            surge = 1 if job.outdated_replicas else 0
            if len(job.active_replicas) > job.wanted_replicas + surge:
                found.append(f"{message.seq}: {job_id} has {len(job.active_replicas)} replicas")
            found += [f"{message.seq}: {each}" for each in _overfull(jobs.values(), rooms)]
    return found


def _overfull(jobs: Iterable[Job], rooms: Mapping[str, float]) -> list[str]:
    taken: dict[str, Resources] = {}
    nothing = Resources()
    for job in jobs:
        for replica in job.replicas:
            if not replica.ended and replica.placement is not None:
                key = replica.placement.node_key
                taken[key] = taken.get(key, nothing) + replica.placement.taken
    return [
        f"{key} is given {sum_.cpu_cores:g} of {rooms[key]:g} cores"
        for key, sum_ in sorted(taken.items())
        if key in rooms and sum_.cpu_cores > rooms[key]
    ]
