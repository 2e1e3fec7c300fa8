"""Why one more replica of a job has no place: every node and every predicate that says no, the project's sums, and who gives way.

Pure. `answers` gives it out; it plans as the leader does, so it tells what the leader does at its next look.
"""

from datetime import datetime

from hostler_contracts.placements import (
    NODES_TOLD_MAX,
    NodeTold,
    PlacementAnswer,
    ShareTold,
    VictimTold,
)
from hostler_domain.job import Job, Replica
from hostler_domain.replica_states import ReplicaReason
from hostler_scheduler.actions import DrainReplica
from hostler_scheduler.place import planned
from hostler_scheduler.room import Room
from hostler_scheduler.view import ClusterView


def explained(view: ClusterView, job_id: str, *, now: datetime, node_stale_seconds: float) -> PlacementAnswer:
    """What keeps the job's next replica from a place."""
    job = next((job for job in view.jobs if job.job_id == job_id), None)
    if job is None:
        return PlacementAnswer(found=False)
    numbers = iter(range(10**9))
    made, room = planned(
        view,
        now=now,
        new_ids=lambda: f"none-{next(numbers)}",
        node_stale_seconds=node_stale_seconds,
    )
    drains = {
        (each.job_id, each.replica_id)
        for each in made.actions
        if isinstance(each, DrainReplica)
        and each.reason is ReplicaReason.PREEMPTED
        and each.yields_to == job_id
    }
    victims = tuple(
        VictimTold(
            project=other.spec.project,
            job_id=other.job_id,
            replica_id=replica.replica_id,
            priority=other.spec.priority,
            node=replica.placement.node_key,
            draining=not replica.active,
        )
        for other in view.jobs
        for replica in other.replicas
        if (other.job_id, replica.replica_id) in drains or _gives_way(other, replica, job_id)
    )
    request = room.request(job)
    if request is None or job.spec.external is not None:
        return PlacementAnswer(found=True, victims=victims)
    nodes = tuple(
        NodeTold(node=key, refusals=tuple((each.predicate, each.reason) for each in found))
        for key, found in sorted(room.refusals(request).items())[:NODES_TOLD_MAX]
    )
    return PlacementAnswer(
        found=True, nodes=nodes, share=_share(view, job, room, request.needed.gpus), victims=victims
    )


def _gives_way(other: Job, replica: Replica, job_id: str) -> bool:
    """Whether a replica of another job drains for this one already."""
    return other.job_id != job_id and replica.yields_to == job_id and not replica.ended and not replica.active


def _share(view: ClusterView, job: Job, room: Room, needed: int) -> ShareTold:
    project = view.projects.get(job.spec.project)
    held, guaranteed = room.shares.sums(job.spec.project)
    return ShareTold(
        project=job.spec.project,
        held=held,
        guaranteed=guaranteed,
        quota=None if project is None else project.gpu_quota,
        limit=None if project is None else project.gpu_limit,
        needed=needed,
        guaranteed_next=len(job.active_replicas) < job.spec.guaranteed_replicas,
    )
