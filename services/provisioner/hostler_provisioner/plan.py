"""What the provisioner should do next: desired and observed replicas in, actions out.

Pure. The record in the log is what is desired; what the backend observes is what is. Every action is named after a replica
and may be done twice. A replica counts as ended (`Failed`, `Terminated`) only when nothing of it is left, so an end is carried
out first and written down afterwards; a crash between the two leaves a record without a process, which is then `Lost`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hostler_domain.capacity import Resources
from hostler_domain.changes import (
    Change,
    JobUnreachable,
    ReplicaBooting,
    ReplicaChange,
    ReplicaDraining,
    ReplicaFailed,
    ReplicaImporting,
    ReplicaLoading,
    ReplicaReady,
    ReplicaTerminated,
    ReplicaTerminating,
    ReplicaUnhealthy,
    StartStep,
)
from hostler_domain.job import Job, Progress, Replica
from hostler_domain.phases import JobPhase
from hostler_domain.replica_states import START_STATES, ReplicaReason, ReplicaState
from hostler_provisioner.backend import ObservedReplica, Step
from hostler_provisioner.etas import eta_words, usual_start_seconds

_PROGRESS_STEP = 0.1
"""Smallest advance of a start that is worth an event."""

_START_CHANGES: Mapping[Step, type[StartStep]] = {
    Step.IMPORTING: ReplicaImporting,
    Step.BOOTING: ReplicaBooting,
    Step.LOADING: ReplicaLoading,
}
_START_STATE_OF: Mapping[Step, ReplicaState] = {
    Step.IMPORTING: ReplicaState.IMPORTING,
    Step.BOOTING: ReplicaState.BOOTING,
    Step.LOADING: ReplicaState.LOADING,
}

_CAN_BE_LOST = frozenset(
    {
        JobPhase.PENDING,
        JobPhase.INITIALIZING,
        JobPhase.RUNNING,
        JobPhase.DEGRADED,
        JobPhase.UPDATING,
    }
)


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Begin to start it."""

    job_id: str
    replica_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """Append `change` to the job's log."""

    job_id: str
    change: Change


@dataclass(frozen=True, slots=True)
class EndReplica:
    """End it and forget it; when nothing is left, append `then`, if anything."""

    replica_id: str
    job_id: str
    then: ReplicaChange | None
    why: str


@dataclass(frozen=True, slots=True)
class FinishJob:
    """Take away what belongs to the job beside its replicas and write the tombstone."""

    job_id: str


Action = StartReplica | Report | EndReplica | FinishJob


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to be patient.

    Attributes:
        drain_timeout_seconds: With the last requests of a draining replica.
        unhealthy_timeout_seconds: With a replica that stopped answering.
    """

    drain_timeout_seconds: float
    unhealthy_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a plan is made from.

    Attributes:
        cluster: Ours; replicas placed elsewhere are none of our business.
        capacity: What our nodes have, by their key.
        jobs: All jobs.
        observed: All replicas that the backend sees.
        in_flight: Requests that the routers still have on draining replicas, by replica id; absent where some router could not
            be asked.
        busy: Replicas and jobs with an action under way.
        unreachable: Why nothing is known of our replicas; empty while they are observed.
    """

    cluster: str
    capacity: Mapping[str, Resources]
    jobs: tuple[Job, ...]
    observed: tuple[ObservedReplica, ...]
    in_flight: Mapping[str, int]
    busy: frozenset[str]
    unreachable: str = ""


def plan(view: View, limits: Limits, *, now: datetime) -> tuple[Action, ...]:
    """The actions that bring what is nearer to what is desired, in order of job and replica id."""
    if view.unreachable:
        return tuple(_unreachable(view, now))
    seen = {each.replica_id: each for each in view.observed}
    actions: list[Action] = []
    known: set[str] = set()
    room = _Room(view, seen)
    for job in sorted(view.jobs, key=lambda each: each.job_id):
        ours = [each for each in job.replicas if each.placement.cluster == view.cluster and not each.ended]
        for replica in ours:
            known.add(replica.replica_id)
            if replica.replica_id not in view.busy:
                found = seen.get(replica.replica_id)
                wished = _for_replica(job, replica, found, view, limits, now)
                if job.status.phase is JobPhase.UNKNOWN and found is not None and not wished:
                    wished = _found_again(job, replica, now)
                actions.extend(room.admitted(job, replica, action, now) for action in wished)
        if _finishes(job, view):
            actions.append(FinishJob(job.job_id))
    actions.extend(_orphans(view.observed, known, view.busy))
    return tuple(actions)


def _unreachable(view: View, now: datetime) -> Iterable[Action]:
    """Nothing is done to anything; jobs that are nowhere else are said to be unknown."""
    for job in sorted(view.jobs, key=lambda each: each.job_id):
        clusters = {each.placement.cluster for each in job.active_replicas}
        if clusters == {view.cluster} and job.status.phase in _CAN_BE_LOST:
            yield Report(job.job_id, JobUnreachable(now, view.cluster, view.unreachable))


def _finishes(job: Job, view: View) -> bool:
    """Whether the job is to be buried, by us: whoever still remembers a place of a replica takes away what is left there."""
    if job.status.phase is not JobPhase.DELETING or job.job_id in view.busy:
        return False
    clusters = {each.placement.cluster for each in job.replicas}
    return all(each.ended for each in job.replicas) and (not clusters or view.cluster in clusters)


class _Room:
    """What is left of our nodes, counting what has begun and not ended.

    Placement keeps within a node's capacity as long as one scheduler places. Two at once, each right by its own view, may give
    the same room to two jobs; who comes second here is turned away before anything is started.
    """

    def __init__(self, view: View, seen: Mapping[str, ObservedReplica]) -> None:
        self._left = dict(view.capacity)
        for job in view.jobs:
            for replica in job.replicas:
                if replica.ended:
                    continue
                begun = replica.state not in (ReplicaState.PENDING, ReplicaState.SCHEDULED)
                if begun or replica.replica_id in seen or replica.replica_id in view.busy:
                    self._take(replica)

    def admitted(self, job: Job, replica: Replica, action: Action, now: datetime) -> Action:
        """`action`, or the refusal of a start that does not fit."""
        if not isinstance(action, StartReplica):
            return action
        left = self._left.get(replica.placement.node_key)
        shortages = () if left is None else left.shortages(replica.placement.taken)
        if shortages:
            detail = f"{replica.placement.node_key}: {', '.join(shortages)}"
            return Report(job.job_id, ReplicaFailed(now, replica.replica_id, ReplicaReason.NO_ROOM, detail))
        self._take(replica)
        return action

    def _take(self, replica: Replica) -> None:
        key = replica.placement.node_key
        if key in self._left:
            self._left[key] -= replica.placement.taken


def _orphans(
    observed: Iterable[ObservedReplica], known: set[str], busy: frozenset[str]
) -> Iterable[EndReplica]:
    for each in sorted(observed, key=lambda each: each.replica_id):
        if each.replica_id not in known and each.replica_id not in busy:
            yield EndReplica(each.replica_id, each.job_id, None, "no living job wants it")


def _for_replica(
    job: Job, replica: Replica, seen: ObservedReplica | None, view: View, limits: Limits, now: datetime
) -> tuple[Action, ...]:
    if seen is not None and seen.leaving and replica.active and seen.step is not Step.GONE:
        return (Report(job.job_id, ReplicaDraining(now, replica.replica_id, ReplicaReason.REPLACED)),)
    match replica.state:
        case ReplicaState.DRAINING:
            return _draining(job, replica, seen, view, limits, now)
        case ReplicaState.TERMINATING:
            return (_end(job, replica, ReplicaTerminated(now, replica.replica_id), "it is terminating"),)
        case ReplicaState.READY | ReplicaState.UNHEALTHY:
            return _serving(job, replica, seen, limits, now)
        case _:
            return _starting(job, replica, seen, view, now)


def _starting(
    job: Job, replica: Replica, seen: ObservedReplica | None, view: View, now: datetime
) -> tuple[Action, ...]:
    """A replica that has not been ready.

    | seen                | overdue | record     | action                          |
    | ------------------- | ------- | ---------- | ------------------------------- |
    | gone                | any     | any        | end, then failed(StartFailed)   |
    | any but ready, gone | yes     | any        | end, then failed(Initiali...)   |
    | nothing             | no      | Scheduled  | start                           |
    | nothing             | no      | further on | failed(Lost)                    |
    | left off            | no      | not Booted | start, which completes it       |
    | left off            | no      | further on | end, then failed(Lost)          |
    | ready               | any     | any        | report ready                    |
    | importing..loading  | no      | behind     | report the step                 |
    """
    overdue = now - replica.created_at > timedelta(seconds=job.spec.timeouts.initialization_seconds)
    if seen is not None and seen.step is Step.GONE:
        failed = ReplicaFailed(now, replica.replica_id, ReplicaReason.START_FAILED, _last_words(seen))
        return (_end(job, replica, failed, failed.detail),)
    if overdue and (seen is None or seen.step is not Step.READY):
        detail = f"not ready within {job.spec.timeouts.initialization_seconds} s"
        failed = ReplicaFailed(now, replica.replica_id, ReplicaReason.INITIALIZATION_TIMEOUT, detail)
        return (_end(job, replica, failed, detail),)
    if seen is None:
        if replica.state is ReplicaState.SCHEDULED:
            return (StartReplica(job.job_id, replica.replica_id),)
        return (Report(job.job_id, _lost(replica, now)),)
    if seen.incomplete:
        if replica.state in (ReplicaState.SCHEDULED, ReplicaState.IMPORTING):
            return (StartReplica(job.job_id, replica.replica_id),)
        return (_end(job, replica, _lost(replica, now), "its machine is not there any more"),)
    if seen.step is Step.READY and seen.endpoint_url is not None:
        return (Report(job.job_id, ReplicaReady(now, replica.replica_id, seen.endpoint_url)),)
    return _progress(job, replica, seen, view, now)


def _progress(
    job: Job, replica: Replica, seen: ObservedReplica, view: View, now: datetime
) -> tuple[Action, ...]:
    state = _START_STATE_OF.get(seen.step)
    if state is None or START_STATES.index(state) < START_STATES.index(replica.state):
        return ()
    if state is replica.state and not _advanced(replica.progress, seen.fraction):
        return ()
    left = eta_words(usual_start_seconds(view.jobs, job), replica, now)
    words = ", ".join(each for each in (seen.detail, left) if each)
    change = _START_CHANGES[seen.step](now, replica.replica_id, Progress(seen.fraction, words))
    return (Report(job.job_id, change),)


def _advanced(before: Progress | None, fraction: float | None) -> bool:
    if fraction is None:
        return False
    return before is None or before.fraction is None or fraction >= before.fraction + _PROGRESS_STEP


def _serving(
    job: Job, replica: Replica, seen: ObservedReplica | None, limits: Limits, now: datetime
) -> tuple[Action, ...]:
    """A replica that has been ready.

    | seen                     | record    | action                                         |
    | ------------------------ | --------- | ---------------------------------------------- |
    | nothing                  | any       | failed(Lost)                                   |
    | gone                     | any       | end, then failed(Crashed)                      |
    | left off                 | any       | end, then failed(Lost)                         |
    | ready, at another url    | any       | report ready (it was adopted)                  |
    | ready                    | Unhealthy | report ready                                   |
    | not ready                | Ready     | report unhealthy                               |
    | not ready, too long      | Unhealthy | end, then failed(Unresponsive)                 |
    """
    if seen is None:
        return (Report(job.job_id, _lost(replica, now)),)
    if seen.step is Step.GONE:
        failed = ReplicaFailed(now, replica.replica_id, ReplicaReason.CRASHED, _last_words(seen))
        return (_end(job, replica, failed, failed.detail),)
    if seen.incomplete:
        return (_end(job, replica, _lost(replica, now), "its machine is not there any more"),)
    healthy = seen.step is Step.READY and seen.endpoint_url is not None
    if healthy and seen.endpoint_url is not None:
        if replica.state is ReplicaState.UNHEALTHY or replica.endpoint_url != seen.endpoint_url:
            return (Report(job.job_id, ReplicaReady(now, replica.replica_id, seen.endpoint_url)),)
        return ()
    if replica.state is ReplicaState.READY:
        return (Report(job.job_id, ReplicaUnhealthy(now, replica.replica_id, seen.detail)),)
    if now - replica.since > timedelta(seconds=limits.unhealthy_timeout_seconds):
        detail = f"has not answered for {limits.unhealthy_timeout_seconds:g} s"
        failed = ReplicaFailed(now, replica.replica_id, ReplicaReason.UNRESPONSIVE, detail)
        return (_end(job, replica, failed, detail),)
    return ()


def _found_again(job: Job, replica: Replica, now: datetime) -> tuple[Action, ...]:
    """Its cluster answers again and it is as it was: saying so once more brings the job back to the phase that follows from it."""
    match replica.state:
        case ReplicaState.READY if replica.endpoint_url is not None:
            return (Report(job.job_id, ReplicaReady(now, replica.replica_id, replica.endpoint_url)),)
        case ReplicaState.UNHEALTHY:
            return (Report(job.job_id, ReplicaUnhealthy(now, replica.replica_id, replica.detail)),)
        case ReplicaState.IMPORTING | ReplicaState.BOOTING | ReplicaState.LOADING:
            step = next(each for each, state in _START_STATE_OF.items() if state is replica.state)
            return (Report(job.job_id, _START_CHANGES[step](now, replica.replica_id, replica.progress)),)
        case _:
            return ()


def _draining(
    job: Job, replica: Replica, seen: ObservedReplica | None, view: View, limits: Limits, now: datetime
) -> tuple[Action, ...]:
    """A replica that gets no new requests: it goes when no router has one on it, when it is gone, or when time is up."""
    if seen is None or seen.step is Step.GONE:
        return (_end(job, replica, ReplicaTerminated(now, replica.replica_id), "it is gone already"),)
    if view.in_flight.get(replica.replica_id) == 0:
        return (Report(job.job_id, ReplicaTerminating(now, replica.replica_id)),)
    if now - replica.since > timedelta(seconds=limits.drain_timeout_seconds):
        left = view.in_flight.get(replica.replica_id)
        count = "an unknown number of" if left is None else str(left)
        detail = (
            f"the drain timeout of {limits.drain_timeout_seconds:g} s passed with {count} requests under way"
        )
        return (Report(job.job_id, ReplicaTerminating(now, replica.replica_id, detail)),)
    return ()


def _end(job: Job, replica: Replica, then: ReplicaChange, why: str) -> EndReplica:
    return EndReplica(replica.replica_id, job.job_id, then, why)


def _lost(replica: Replica, now: datetime) -> ReplicaFailed:
    return ReplicaFailed(
        now, replica.replica_id, ReplicaReason.LOST, "its process or machine is not there any more"
    )


def _last_words(seen: ObservedReplica) -> str:
    code = "" if seen.exit_code is None else f" with status {seen.exit_code}"
    return f"its process ended{code}: {seen.detail}" if seen.detail else f"its process ended{code}"
