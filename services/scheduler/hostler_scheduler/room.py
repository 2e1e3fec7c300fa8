"""What nodes and projects have left while one plan is made, where in it a replica goes, and what is kept for those that wait.

`place.plan` makes one from the view, and it and `rollout` take from it, job after job in the order in which they are served. Every
replica that has not ended holds its room, also one that drains. What a draining replica will give back is kept for the first that
waits for it, so that nobody after that one is placed in its way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from hostler_domain.capacity import requirement
from hostler_domain.job import Job, Placement
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason, ReplicaState
from hostler_scheduler.actions import DrainReplica
from hostler_scheduler.external import free_server
from hostler_scheduler.filter import Refusal, Request, refusals
from hostler_scheduler.nodes import Nodes
from hostler_scheduler.shares import Shares
from hostler_scheduler.view import ClusterView
from hostler_scheduler.waiting import Waiting

NODES_LISTED_MAX = 20
"""In the detail of a waiting job: it is part of every later event of the job, so it stays short."""
_NO_ENDS: Mapping[str, frozenset[str]] = MappingProxyType({})

Place = tuple[Placement, tuple[str, ...]]
"""Where a replica goes, and why there."""


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """No node takes a replica, and why."""

    reason: PhaseReason
    detail: str


class Room:
    """What is left while one plan is made.

    Args:
        view: The whole present state.
        fresh_since: A node that was not heard of since takes no new replica.
        ending: Replicas that the plan will drain whatever else it finds, by job; they end as if they drained already.
    """

    def __init__(
        self, view: ClusterView, *, fresh_since: datetime, ending: Mapping[str, frozenset[str]] = _NO_ENDS
    ) -> None:
        self.nodes = Nodes(view.nodes, fresh_since=fresh_since)
        self.shares = Shares(view.projects)
        self._waiting = Waiting(view.jobs, self.nodes, self.shares, ending)
        self._profiles = view.profiles
        self._active: dict[str, dict[str, int]] = {}
        self.short = False
        """Whether some found no place in the plan that was made with it."""
        self._unplaceable: dict[tuple[object, ...], Unplaceable] = {}
        # Requests for which no node has room: what is left only shrinks while a plan is made.
        self._full: set[tuple[object, ...]] = set()
        free, coming = self.nodes.free, self.nodes.coming
        nobody: frozenset[str] = frozenset()
        for job in view.jobs:
            ends = ending.get(job.job_id, nobody)
            for replica in job.replicas:
                if replica.ended:
                    continue
                key, taken = replica.placement.node_key, replica.placement.taken
                active = replica.active and replica.replica_id not in ends
                self.shares.hold(job, taken.gpus, active=active)
                if key in free:
                    free[key] -= taken
                    if active:
                        coming[key] -= taken
                    else:
                        self._waiting.gives_back(replica)
                if active:
                    self._count(job, key)

    def place(self, job: Job) -> Place | None:
        """The best place for one more replica of the job, and take it; None where there is none."""
        if job.spec.external is not None:
            counts = self._active.get(job.job_id, {})
            server = free_server(job, job.spec.external, lambda place: counts.get(place.node_key, 0))
            if server is not None:
                self._count(job, server.node_key)
            return None if server is None else (server, (f"{server.node} has no replica",))
        request = self.request(job)
        if request is None or self.shares.refused(job, request.needed.gpus) is not None:
            return None
        found = self._best(job, request)
        if found is None:
            return None
        points, key = found
        node = self.nodes.by_key[key]
        reason = f"{key} is the only node"
        if len(self.nodes.by_key) > 1:
            able = self.nodes.fits(request)
            reason = f"{key} scored {points:.2f}, the best of {able} of {len(self.nodes.by_key)} nodes that can take it"
        needed = request.needed
        self.nodes.change(key, free=self.nodes.free[key] - needed, coming=self.nodes.coming[key] - needed)
        self.shares.hold(job, needed.gpus, active=True)
        self._count(job, key)
        return Placement(cluster=node.cluster, node=node.name, taken=needed), (reason,)

    def has_place_once_ended(self, job: Job, placement: Placement) -> bool:
        """Whether one more replica of the job would find a place if what is at `placement` had ended."""
        if job.spec.external is not None:
            return True  # the server that it leaves is free for the next
        request, key = self.request(job), placement.node_key
        if request is None or key not in self.nodes.by_key:
            return False
        if self.shares.refused(job, request.needed.gpus, once_ended=placement.taken.gpus) is not None:
            return False
        fits_there = self.nodes.rank(request, key) is not None and (
            self.nodes.left(key) + placement.taken
        ).holds(request.needed)
        return fits_there or self._best(job, request) is not None

    def wait(self, job: Job, missing: int) -> Iterator[Place]:
        """Keep what will be given back for so many replicas of the job, and where that is not enough, have others give way.

        Gives places for those that need not wait after that: what others give up may be what a job before this one waits for, which
        then no longer needs what is free now.
        """
        request = self.request(job)
        if request is None or job.spec.external is not None:
            return
        for _ in range(missing):
            found = self._best(job, request)
            taken_before = self._waiting.taken
            key = self._waiting.make_way(job, request, at=None if found is None else found[1])
            if key is None:
                break
            if self._waiting.taken > taken_before:
                self._full.clear()  # what gives way may give more than is needed
                place = self.place(job)
                if place is not None:
                    yield place
                    continue
            self._waiting.keep(job, request, key, free=found is not None)

    def passed(self, job: Job) -> None:
        """The job has been looked at: what was kept for it and it did not need is for everybody."""
        self._waiting.passed(job.job_id)

    def gave_way(self, job: Job) -> tuple[DrainReplica, ...]:
        """Replicas of the job that are to drain for jobs that were looked at before it."""
        return self._waiting.given_way.get(job.job_id, ())

    def why(self, job: Job) -> Unplaceable | None:
        """Why the job finds no place for one more replica; None where it does. To be asked when everything has been placed."""
        if job.spec.external is not None:
            return Unplaceable(PhaseReason.NO_CAPACITY, "each of its servers has a replica already")
        request = self.request(job)
        if request is None:
            return Unplaceable(
                PhaseReason.NO_MATCHING_HARDWARE,
                f"there is no hardware profile named {job.spec.hardware_profile}",
            )
        if self._best(job, request) is not None:
            refused = self.shares.refused(job, request.needed.gpus)
            return None if refused is None else Unplaceable(*refused)
        if request.key not in self._unplaceable:
            self._unplaceable[request.key] = self._refused_everywhere(request)
        found = self._unplaceable[request.key]
        refused = self.shares.refused(job, request.needed.gpus)
        # Hardware that does not exist is the harder reason; room that others hold is not.
        if refused is None or found.reason is PhaseReason.NO_MATCHING_HARDWARE:
            return _preempted(job, found)
        return Unplaceable(*refused)

    def refusals(self, request: Request) -> dict[str, tuple[Refusal, ...]]:
        """What every node says to one more such replica; nothing where it can take it."""
        return {key: refusals(request, self.nodes.candidate(key)) for key in self.nodes.by_key}

    def request(self, job: Job) -> Request | None:
        """What one replica of the job asks for; None where there is no such hardware profile."""
        profile = self._profiles.get(job.spec.hardware_profile)
        return (
            None if profile is None else Request(job.spec, profile, requirement(profile, job.spec.gpu_count))
        )

    def _best(self, job: Job, request: Request) -> tuple[float, str] | None:
        if request.key in self._full:
            return None
        disks = frozenset(
            replica.placement.node_key
            for replica in job.replicas
            if not replica.active and replica.state is not ReplicaState.FAILED
        )
        found = self.nodes.best(request, job.job_id, self._active.get(job.job_id, {}), disks)
        if found is None:
            self._full.add(request.key)
        return found

    def _count(self, job: Job, key: str) -> None:
        counts = self._active.setdefault(job.job_id, {})
        counts[key] = counts.get(key, 0) + 1

    def _refused_everywhere(self, request: Request) -> Unplaceable:
        keys = sorted(self.nodes.by_key)
        if not keys:
            return Unplaceable(PhaseReason.NO_CAPACITY, "no node has reported yet")
        lines = [
            f"{key}: {', '.join(each.reason for each in refusals(request, self.nodes.candidate(key)))}"
            for key in keys[:NODES_LISTED_MAX]
        ]
        if len(keys) > NODES_LISTED_MAX:
            lines.append(f"and {len(keys) - NODES_LISTED_MAX} more nodes")
        # A node that was not heard of refuses for now only, so what counts are the lasting reasons of each.
        never = all(
            any(each.lasting for each in refusals(request, self.nodes.candidate(key))) for key in keys
        )
        return Unplaceable(
            PhaseReason.NO_MATCHING_HARDWARE if never else PhaseReason.NO_CAPACITY, "; ".join(lines)
        )


def _preempted(job: Job, found: Unplaceable) -> Unplaceable:
    """The same, said as what it is for a job whose latest replica to go was taken away."""
    gone = [replica for replica in job.replicas if not replica.active]
    last = max(gone, key=lambda each: (each.since, each.replica_id), default=None)
    if (
        last is None
        or last.reason is not ReplicaReason.PREEMPTED
        or found.reason is not PhaseReason.NO_CAPACITY
    ):
        return found
    to_whom = "a more urgent job of its project" if last.yields_to is None else f"job {last.yields_to}"
    return Unplaceable(PhaseReason.PREEMPTED, f"gave way to {to_whom}; {found.detail}")
