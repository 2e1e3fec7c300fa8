"""`plan(view)`: what the scheduler should do about the cluster as it is. Pure; the service calls it and carries it out.

Jobs are taken in the view's order. Each is brought to the number of replicas it wants: those too many are drained, those
missing are placed, unless earlier failures ask for a wait; `rollout` does this for jobs with replicas of an earlier generation.
A replica that finds no room waits for what drains, or has less urgent ones drain, and that room is kept for it. Where neither
would ever make room, a small job may be placed past the large one that waits: nothing is kept free for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from hostler_domain.evolve import evolve, observed_phase
from hostler_domain.job import Job
from hostler_domain.phases import DesiredPhase, JobPhase, PhaseEvent, PhaseReason
from hostler_domain.replica_states import ReplicaReason, ReplicaState
from hostler_scheduler.actions import (
    Action,
    DrainReplica,
    GiveUp,
    HoldJob,
    Plan,
    ScheduleReplica,
    TellStopped,
    changes_of,
)
from hostler_scheduler.failures import Hopeless, StartNow, Verdict, Wait, verdict
from hostler_scheduler.rollout import ends, rolling, rollout, something_ends
from hostler_scheduler.room import Room
from hostler_scheduler.view import ClusterView

_WAITING = {
    PhaseEvent.QUEUED: JobPhase.PENDING,
    PhaseEvent.SHORT: JobPhase.DEGRADED,
    PhaseEvent.UPDATE_STARTED: JobPhase.UPDATING,
}
"""Phase of a job that lacks a place for a replica it needs, by what its replicas amount to."""


def plan(
    view: ClusterView, *, now: datetime, new_ids: Callable[[], str], node_stale_seconds: float = 30.0
) -> Plan:
    """What to do about `view`; doing it and planning again at the same time gives nothing more.

    Which room to come is kept for which of those that wait is another matter once replicas drain for them, and so are the words in which
    they say why they wait. So these are taken from the second plan, where the first one changes anything.

    Args:
        view: The whole present state.
        now: The present time.
        new_ids: Gives an id for each new replica.
        node_stale_seconds: A node not heard of for this long takes no new replicas.
    """
    made, room = planned(view, now=now, new_ids=new_ids, node_stale_seconds=node_stale_seconds)
    steps = tuple(action for action in made.actions if not isinstance(action, HoldJob))
    if not steps or not room.short:
        return made
    after = replace(view, jobs=_carried_out(view.jobs, steps, now))
    again, _ = planned(after, now=now, new_ids=new_ids, node_stale_seconds=node_stale_seconds)
    holds = tuple(action for action in again.actions if isinstance(action, HoldJob))
    return Plan((*steps, *holds), made.look_again_at)


def planned(
    view: ClusterView, *, now: datetime, new_ids: Callable[[], str], node_stale_seconds: float
) -> tuple[Plan, Room]:
    """The plan, and what is left of the room when it is carried out."""
    settled = {job.job_id: _ends(job, now) for job in view.jobs}
    room = Room(
        view,
        fresh_since=now - timedelta(seconds=node_stale_seconds),
        ending={
            job_id: frozenset(end.replica_id for end in steps if isinstance(end, DrainReplica))
            for job_id, (_, steps) in settled.items()
            if steps
        },
    )
    actions: list[Action] = []
    waits: list[datetime] = []
    unplaced: list[Job] = []
    held: list[HoldJob] = []
    for job in view.jobs:
        judged, ending = settled[job.job_id]
        # Jobs before this one may have had to take some of its replicas.
        steps: tuple[Action, ...] = (*ending, *room.gave_way(job))
        job = _after(job, steps, now)  # noqa: PLW2901  # from here on it is the job as it will be
        actions += steps
        missing = job.wanted_replicas - len(job.active_replicas)
        match judged:
            case StartNow() | Wait() if rolling(job):
                step = rollout(job, room, new_ids, may_start=isinstance(judged, StartNow))
                actions += step.actions
                after = _after(job, step.actions, now)
                if step.waits_to_start and isinstance(judged, Wait):
                    waits.append(judged.until)
                    held += _backing_off(after, judged)
                if step.waits_for_room:
                    missing = after.wanted_replicas - len(after.active_replicas)
                    actions += (late := tuple(_waiting(after, missing, room, new_ids)))
                    unplaced.append(_after(after, late, now))
            case Wait() if missing > 0:
                waits.append(judged.until)
                held += _backing_off(job, judged)
            case StartNow() if missing > 0:
                placed = tuple(_schedule(job, missing, room, new_ids))
                actions += placed
                if len(placed) < missing:
                    after = _after(job, placed, now)
                    late = tuple(_waiting(after, missing - len(placed), room, new_ids))
                    actions += late
                    if len(placed) + len(late) < missing:
                        unplaced.append(_after(after, late, now))
        room.passed(job)
        if job.status.phase is JobPhase.STOPPING and all(replica.ended for replica in job.replicas):
            actions.append(TellStopped(job.job_id))
    room.short = bool(unplaced)
    # Only now is it known how full the nodes will be, so the reasons are those that the next look will find as well.
    actions += [hold for job in unplaced if (hold := _hold(job, room)) is not None]
    return Plan((*actions, *held), min(waits, default=None)), room


def _ends(job: Job, now: datetime) -> tuple[Verdict, tuple[Action, ...]]:
    """What to make of the job's failures, and what ends of it whatever there is room for."""
    judged = verdict(job, now=now) if job.wanted_replicas > 0 else StartNow()
    if isinstance(judged, Hopeless):
        given_up = GiveUp(job.job_id, judged.reason, judged.detail)
        return judged, (given_up, *surplus(_after(job, (given_up,), now)))
    return judged, ends(job) if rolling(job) else tuple(surplus(job))


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


def _carried_out(jobs: tuple[Job, ...], steps: tuple[Action, ...], now: datetime) -> tuple[Job, ...]:
    of_job: dict[str, list[Action]] = {}
    for step in steps:
        of_job.setdefault(step.job_id, []).append(step)
    return tuple(_after(job, tuple(of_job.get(job.job_id, ())), now) for job in jobs)


def _after(job: Job, steps: tuple[Action, ...], now: datetime) -> Job:
    for step in steps:
        for change in changes_of(job, step, at=now):
            job = evolve(job, change)
    return job


def _schedule(job: Job, missing: int, room: Room, new_ids: Callable[[], str]) -> Iterator[ScheduleReplica]:
    """Places for up to `missing` replicas, as far as there is room."""
    for _ in range(missing):
        found = room.place(job)
        if found is None:
            return
        placement, reasons = found
        yield ScheduleReplica(job.job_id, new_ids(), placement, reasons)


def _waiting(job: Job, missing: int, room: Room, new_ids: Callable[[], str]) -> Iterator[ScheduleReplica]:
    """Have `missing` replicas wait; places for those that need not when others have given way."""
    for placement, reasons in room.wait(job, missing):
        yield ScheduleReplica(job.job_id, new_ids(), placement, reasons)


def _hold(job: Job, room: Room) -> HoldJob | None:
    """The news that the job waits for room; None where there is nothing new to say."""
    if job.status.phase is JobPhase.UPDATING and something_ends(job):
        return None  # an old replica makes the room that its replacement waits for
    found = room.why(job)
    return None if found is None else _news(job, found.reason, found.detail)


def _backing_off(job: Job, wait: Wait) -> Iterator[HoldJob]:
    """The news that the job's next start waits, and until when: the same at every look until then."""
    detail = f"next try at {wait.until:%Y-%m-%dT%H:%M:%SZ}: {wait.why}"
    news = _news(job, PhaseReason.BACKING_OFF, detail)
    if news is not None:
        yield news


def _news(job: Job, reason: PhaseReason, detail: str) -> HoldJob | None:
    """Why the job waits; None where it has what it needs to serve, or says the same already."""
    phase = _WAITING.get(observed_phase(job))
    status = job.status
    if phase is None or (status.phase, status.phase_reason, status.phase_detail) == (phase, reason, detail):
        return None
    return HoldJob(job.job_id, reason, detail)
