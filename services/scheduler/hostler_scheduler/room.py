"""What every node has left while one plan is made, and where in it a replica goes: filter, score, pick.

`place.plan` makes one from the view, and it and `rollout` take from it. Every replica that has not ended holds its room, also
one that drains.
"""

from dataclasses import dataclass
from datetime import datetime

from hostler_domain.capacity import requirement
from hostler_domain.job import Job, Placement
from hostler_domain.phases import PhaseReason
from hostler_scheduler.external import free_server
from hostler_scheduler.filter import Candidate, Refusal, Request, refusals
from hostler_scheduler.score import score
from hostler_scheduler.view import ClusterView

NODES_LISTED_MAX = 20
"""In the detail of a waiting job: it is part of every later event of the job, so it stays short."""


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """No node takes a replica, and why."""

    reason: PhaseReason
    detail: str


class Room:
    """What is left of every node while one plan is made."""

    def __init__(self, view: ClusterView, *, fresh_since: datetime) -> None:
        self._nodes = {node.key: node for node in view.nodes}
        self._free = {node.key: node.capacity for node in view.nodes}
        self._profiles = view.profiles
        self._fresh_since = fresh_since
        self._replicas_of: dict[tuple[str, str], int] = {}
        for job in view.jobs:
            for replica in job.replicas:
                if not replica.ended:
                    self._take(job.job_id, replica.placement, active=replica.active)

    def place(self, job: Job) -> tuple[Placement, tuple[str, ...]] | Unplaceable:
        """The best place for one more replica of the job, and take it."""
        found = self.look(job)
        if not isinstance(found, Unplaceable):
            self._take(job.job_id, found[0], active=True)
        return found

    def has_place_once_ended(self, job: Job, placement: Placement) -> bool:
        """Whether one more replica of the job would find a place if what is at `placement` had ended."""
        key = placement.node_key
        if job.spec.external is not None:
            return True  # the server that it leaves is free for the next
        if key not in self._free:
            return False
        before = self._free[key]
        self._free[key] = before + placement.taken
        found = self.look(job)
        self._free[key] = before
        return not isinstance(found, Unplaceable)

    def look(self, job: Job) -> tuple[Placement, tuple[str, ...]] | Unplaceable:
        """The best place for one more replica of the job, with the reasons, or why there is none."""
        if job.spec.external is not None:
            server = free_server(
                job,
                job.spec.external,
                lambda place: self._replicas_of.get((job.job_id, place.node_key), 0),
            )
            if server is None:
                return Unplaceable(PhaseReason.NO_CAPACITY, "each of its servers has a replica already")
            return server, (f"{server.node} has no replica",)
        profile = self._profiles.get(job.spec.hardware_profile)
        if profile is None:
            return Unplaceable(
                PhaseReason.NO_MATCHING_HARDWARE,
                f"there is no hardware profile named {job.spec.hardware_profile}",
            )
        request = Request(job.spec, profile, requirement(profile, job.spec.gpu_count))
        refused: dict[str, tuple[Refusal, ...]] = {}
        best: tuple[float, str] | None = None
        for key, node in self._nodes.items():
            found = refusals(request, Candidate(node, self._free[key], self._fresh_since))
            if found:
                refused[key] = found
                continue
            points = score(node, self._free[key], request.needed, self._replicas_of.get((job.job_id, key), 0))
            # Nodes come by key, so of equal ones the first stays.
            if best is None or points > best[0]:
                best = (points, key)
        if best is None:
            return _unplaceable(refused)
        points, key = best
        node = self._nodes[key]
        able = len(self._nodes) - len(refused)
        reason = (
            f"{key} scored {points:.2f}, the best of {able} of {len(self._nodes)} nodes that can take it"
            if len(self._nodes) > 1
            else f"{key} is the only node"
        )
        return Placement(cluster=node.cluster, node=node.name, taken=request.needed), (reason,)

    def _take(self, job_id: str, placement: Placement, *, active: bool) -> None:
        key = placement.node_key
        if key in self._free:
            self._free[key] -= placement.taken
        self._replicas_of[job_id, key] = self._replicas_of.get((job_id, key), 0) + active


def _unplaceable(refused: dict[str, tuple[Refusal, ...]]) -> Unplaceable:
    if not refused:
        return Unplaceable(PhaseReason.NO_CAPACITY, "no node has reported yet")
    lines = [
        f"{key}: {', '.join(refusal.reason for refusal in found)}" for key, found in sorted(refused.items())
    ]
    if len(lines) > NODES_LISTED_MAX:
        lines[NODES_LISTED_MAX:] = [f"and {len(lines) - NODES_LISTED_MAX} more nodes"]
    never = all(any(refusal.lasting for refusal in found) for found in refused.values())
    return Unplaceable(
        PhaseReason.NO_MATCHING_HARDWARE if never else PhaseReason.NO_CAPACITY, "; ".join(lines)
    )
