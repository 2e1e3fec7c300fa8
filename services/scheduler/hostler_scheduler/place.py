"""`plan(view)`: what the scheduler should do about the cluster as it is. Pure; the service calls it and carries it out.

Jobs are taken in the view's order. Each is brought to the number of replicas it wants: those too many are drained, those
missing are placed by filter, score, pick, unless earlier failures ask for a wait. Every replica that has not ended holds its
room, also one that drains. A small job may be placed past a large one that finds no room: nothing is kept free for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hostler_domain.capacity import requirement
from hostler_domain.evolve import evolve, observed_phase
from hostler_domain.job import Job, Placement
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseEvent, PhaseReason
from hostler_domain.replica_states import ReplicaReason, ReplicaState
from hostler_scheduler.actions import Action, DrainReplica, GiveUp, HoldJob, Plan, ScheduleReplica, changes_of
from hostler_scheduler.failures import Hopeless, StartNow, Wait, verdict
from hostler_scheduler.filter import Candidate, Refusal, Request, refusals
from hostler_scheduler.score import score
from hostler_scheduler.view import ClusterView

_WAITING = {PhaseEvent.QUEUED: JobPhase.PENDING, PhaseEvent.SHORT: JobPhase.DEGRADED}
"""Phase of a job that lacks a place for a replica it needs, by what its replicas amount to."""

NODES_LISTED_MAX = 20
"""In the detail of a waiting job: it is part of every later event of the job, so it stays short."""


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """No node takes a replica, and why."""

    reason: PhaseReason
    detail: str


def plan(
    view: ClusterView, *, now: datetime, new_ids: Callable[[], str], node_stale_seconds: float = 30.0
) -> Plan:
    """What to do about `view`; doing it and planning again at the same time gives nothing more.

    Args:
        view: The whole present state.
        now: The present time.
        new_ids: Gives an id for each new replica.
        node_stale_seconds: A node not heard of for this long takes no new replicas.
    """
    room = _Room(view, fresh_since=now - timedelta(seconds=node_stale_seconds))
    actions: list[Action] = []
    waits: list[datetime] = []
    unplaced: list[Job] = []
    for job in view.jobs:
        steps: tuple[Action, ...] = ()
        missing = job.wanted_replicas - len(job.active_replicas)
        judged = verdict(job, now=now) if job.wanted_replicas > 0 else StartNow()
        match judged:
            case Hopeless():
                steps = (GiveUp(job.job_id, judged.reason, judged.detail),)
            case Wait() if missing > 0:
                waits.append(judged.until)
            case StartNow() if missing > 0:
                steps = tuple(_schedule(job, missing, room, new_ids))
                if len(steps) < missing:
                    unplaced.append(_after(job, steps, now))
        actions += steps
        actions += surplus(_after(job, steps, now))
    # Only now is it known how full the nodes will be, so the reasons are those that the next look will find as well.
    actions += [hold for job in unplaced if (hold := _hold(job, room)) is not None]
    return Plan(tuple(actions), min(waits, default=None))


def surplus(job: Job) -> Iterator[DrainReplica]:
    """The replicas that should end: those that serve least, and of these the youngest, until as many are left as are wanted."""
    surplus_replicas = len(job.active_replicas) - job.wanted_replicas
    by_age = sorted(job.active_replicas, key=lambda each: (each.created_at, each.replica_id), reverse=True)
    victims = sorted(by_age, key=lambda each: each.state is ReplicaState.READY)
    for replica in victims[: max(surplus_replicas, 0)]:
        yield DrainReplica(job.job_id, replica.replica_id, _drain_reason(job))


def _drain_reason(job: Job) -> ReplicaReason:
    match job.status.desired_phase:
        case DesiredPhase.DELETED:
            return ReplicaReason.JOB_DELETED
        case DesiredPhase.STOPPED:
            return ReplicaReason.JOB_STOPPED
        case DesiredPhase.RUNNING:
            failed = job.status.phase is JobPhase.FAILED
            return ReplicaReason.JOB_FAILED if failed else ReplicaReason.SCALED_DOWN


def _after(job: Job, steps: tuple[Action, ...], now: datetime) -> Job:
    for step in steps:
        for change in changes_of(job, step, at=now):
            job = evolve(job, change)
    return job


def _schedule(job: Job, missing: int, room: "_Room", new_ids: Callable[[], str]) -> Iterator[ScheduleReplica]:
    """Places for up to `missing` replicas, as far as there is room."""
    for _ in range(missing):
        found = room.place(job)
        if isinstance(found, Unplaceable):
            return
        placement, reasons = found
        yield ScheduleReplica(job.job_id, new_ids(), placement, reasons)


def _hold(job: Job, room: "_Room") -> HoldJob | None:
    """The news that the job waits; None where it has what it needs to serve, or says the same already."""
    phase = _WAITING.get(observed_phase(job))
    if phase is None:
        return None
    found = room.look(job)
    if not isinstance(found, Unplaceable):
        return None
    status = job.status
    if (status.phase, status.phase_reason, status.phase_detail) == (
        phase,
        found.reason,
        found.detail,
    ):
        return None
    return HoldJob(job.job_id, found.reason, found.detail)


class _Room:
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

    def look(self, job: Job) -> tuple[Placement, tuple[str, ...]] | Unplaceable:
        """The best place for one more replica of the job, with the reasons, or why there is none."""
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
