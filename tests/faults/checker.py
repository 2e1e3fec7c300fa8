"""What was promised and what is so: pure functions from facts to violations.

It reads what users were answered, what the stream holds, which processes lived when, and nothing that Hostler says about itself: a job's
state here is what follows from the wishes in the stream, folded anew below, and from the processes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.facts import Event, Kill, Request, Sample, Wish, acknowledged

ROUTER_SECONDS_MAX = 20.0
"""Within this time of its end a router serves again, though NATS may have been killed meanwhile."""
_ENDS = frozenset({"replica.failed", "replica.terminated"})


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise that was not kept."""

    rule: str
    detail: str


@dataclass(slots=True)
class Wanted:
    """What the stream says that a job is to be, by its wishes alone."""

    replicas: int = 0
    asked: Wish = Wish.CREATE
    """Runs after a creation, a restart or a resumption; else stopped or deleted."""
    asked_seq: int = 0
    fresh_seq: int = 0
    """Every replica must have been scheduled after this event."""
    generation: int = 1
    settled: str | None = None
    """The event that says that the last wish has been carried out, or given up: job.stopped, job.deleted, job.failed."""
    marks: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        return self.asked not in (Wish.STOP, Wish.DELETE) and self.settled != "job.failed"


def wanted_by(events: Iterable[Event]) -> dict[str, Wanted]:
    """Every job, by id."""
    jobs: dict[str, Wanted] = {}
    for event in events:
        job = jobs.setdefault(event.job_id, Wanted())
        if event.mark is not None:
            job.marks = (*job.marks, event.mark)
        if event.replicas is not None:
            job.replicas = event.replicas
        if event.generation is not None and event.generation > job.generation:
            job.generation, job.fresh_seq = event.generation, event.seq
        match event.name:
            case "job.created" | "job.restart_requested" | "job.resume_requested":
                job.asked, job.asked_seq, job.settled = Wish.RESTART, event.seq, None
            case "job.stop_requested":
                job.asked, job.asked_seq, job.settled = Wish.STOP, event.seq, None
                job.fresh_seq = event.seq
            case "job.delete_requested":
                job.asked, job.asked_seq, job.settled = Wish.DELETE, event.seq, None
            case "job.stopped" | "job.deleted" | "job.failed":
                job.settled = event.name
    return jobs


def lost(requests: Iterable[Request], events: Sequence[Event]) -> list[Violation]:
    """Acknowledged requests that the stream does not bear out.

    The acknowledged event must be stored, belong to the job, and the wish must be in force, or have been, at that event.
    """
    by_seq = {event.seq: event for event in events}
    histories: dict[str, list[Event]] = {}
    for event in events:
        histories.setdefault(event.job_id, []).append(event)
    found: list[Violation] = []
    restarts: Counter[str] = Counter()
    for request in sorted(acknowledged(requests), key=lambda each: each.ended):
        job_id, revision = request.job_id or "", request.revision or 0
        what = f"{request.wish} {request.mark} of job {job_id}, acknowledged at revision {revision}"
        stored = by_seq.get(revision)
        if stored is None or stored.job_id != job_id:
            found.append(Violation("lost", f"{what}: no such event of this job is stored"))
            continue
        until = [event for event in histories[job_id] if event.seq <= revision]
        restarts[job_id] += request.wish is Wish.RESTART
        if not _in_force(request, until, restarts[job_id]):
            found.append(Violation("lost", f"{what}: nothing of it is stored"))
    return found


def _in_force(request: Request, until: Sequence[Event], restarts: int) -> bool:
    now = wanted_by(until)[request.job_id or ""]
    match request.wish:
        case Wish.CREATE:
            return until[0].name == "job.created" and until[0].mark == request.mark
        case Wish.UPDATE:
            return any(event.name == "job.updated" and event.mark == request.mark for event in until)
        case Wish.RESTART:
            # A failed job is restarted by starting over.
            asked = ("job.restart_requested", "job.resume_requested")
            return sum(event.name in asked for event in until) >= restarts
        case Wish.STOP | Wish.DELETE:
            return now.asked is request.wish
        case Wish.RESUME:
            return now.asked not in (Wish.STOP, Wish.DELETE)
        case Wish.CHAT:
            return True


def doubled(requests: Iterable[Request], events: Iterable[Event]) -> list[Violation]:
    """Wishes that were carried out twice, answers to one wish that differ, and holes or copies in the stream itself."""
    events = list(events)
    found = []
    created = Counter(
        event.mark for event in events if event.name == "job.created" and event.mark is not None
    )
    found += [
        Violation("doubled", f"{count} jobs were created for the key {mark}")
        for mark, count in created.items()
        if count > 1
    ]
    answers: dict[str, set[tuple[str | None, str]]] = {}
    for request in acknowledged(requests):
        if request.wish is Wish.CREATE:
            answers.setdefault(request.mark, set()).add((request.job_id, request.body))
    found += [
        Violation(
            "doubled", f"the key {mark} was answered in {len(different)} ways: {sorted(different, key=str)}"
        )
        for mark, different in answers.items()
        if len(different) > 1
    ]
    ids = Counter(event.event_id for event in events)
    found += [
        Violation("doubled", f"the event id {event_id} is stored {count} times")
        for event_id, count in ids.items()
        if count > 1
    ]
    seqs = [event.seq for event in events]
    if seqs != list(range(1, len(seqs) + 1)):
        found.append(Violation("lost", "the stream's sequences have holes or repeat"))
    return found


def twins(samples: Iterable[Sample]) -> list[Violation]:
    """Two living processes of one replica at one moment."""
    return [
        Violation("twins", f"replica {replica_id} had the processes {pids} at {sample.at:.2f}")
        for sample in samples
        for replica_id, pids in sample.living.items()
        if len(pids) > 1
    ]


def strangers(samples: Iterable[Sample], events: Iterable[Event]) -> list[Violation]:
    """Processes of replicas that nobody ever scheduled."""
    known = {event.replica_id for event in events if event.name == "replica.scheduled"}
    seen = {replica_id for sample in samples for replica_id in sample.living}
    return [
        Violation("orphan", f"replica {each} had a process and was never scheduled")
        for each in sorted(seen - known)
    ]


def unsettled(events: Sequence[Event], living: Mapping[str, tuple[int, ...]]) -> list[Violation]:
    """Jobs that are not as they are wanted, and processes that no job wants: to be asked once it is calm.

    | last wish      | event that must follow       | processes                                             |
    | -------------- | ---------------------------- | ----------------------------------------------------- |
    | run            | none (job.failed is an end)  | as many as wanted, none older than the last restart   |
    | run, given up  | job.failed                   | none                                                  |
    | stop           | job.stopped                  | none                                                  |
    | delete         | job.deleted                  | none                                                  |
    """
    scheduled = {event.replica_id: event for event in events if event.name == "replica.scheduled"}
    ended = {event.replica_id for event in events if event.name in _ENDS}
    jobs = wanted_by(events)
    processes: dict[str, list[str]] = {job_id: [] for job_id in jobs}
    found = []
    for replica_id in living:
        event = scheduled.get(replica_id)
        if event is None or replica_id in ended or not jobs[event.job_id].runs:
            of = "nobody" if event is None else f"job {event.job_id}"
            found.append(Violation("orphan", f"replica {replica_id} of {of} has a process that nobody wants"))
        else:
            processes[event.job_id].append(replica_id)
    for job_id, job in jobs.items():
        expected = {Wish.STOP: "job.stopped", Wish.DELETE: "job.deleted"}.get(job.asked)
        if expected is not None and job.settled != expected:
            found.append(
                Violation("unsettled", f"job {job_id} was asked to {job.asked} and there is no {expected}")
            )
        count = job.replicas if job.runs else 0
        if len(processes[job_id]) != count:
            found.append(
                Violation(
                    "unsettled", f"job {job_id} has {len(processes[job_id])} processes instead of {count}"
                )
            )
        stale = [each for each in processes[job_id] if scheduled[each].seq < job.fresh_seq]
        if stale:
            found.append(Violation("unsettled", f"job {job_id} still has the old replicas {stale}"))
    return found


TRUNCATED = "ended early"
"""What is said of a stream that ended as if it were whole, with neither `[DONE]` nor an error."""
_ALLOWED = {Wish.RESUME: (202, 409, 503)}
"""A job that is still stopping can't be resumed yet, and says so."""


def misanswered(requests: Iterable[Request]) -> list[Violation]:
    """Answers that no fault excuses: a refused key, an unknown job, an error of the program, a 503 that does not say when.

    Of chats only the form counts here, since a job in the midst of its changes may have nobody to answer them.
    """
    found = []
    for request in requests:
        what = f"{request.wish} {request.mark} got {request.status}: {request.said}"
        if request.wish is Wish.CHAT:
            if request.said == TRUNCATED:
                found.append(Violation("misanswered", what))
        elif request.status is not None and request.status not in _ALLOWED.get(request.wish, (202, 503)):
            found.append(Violation("misanswered", what))
        elif request.status == 503 and request.retry_after is None:
            found.append(Violation("misanswered", f"{what}, without Retry-After"))
    return found


def failed_chats(requests: Sequence[Request], kills: Iterable[Kill], job_id: str) -> list[Violation]:
    """Failed requests to a job that serves all the time, which no killed router excuses.

    A kill of a router excuses what was under way, and what failed until an answer came that was asked for after the kill; but
    not for ever.
    """
    chats = sorted(
        (each for each in requests if each.wish is Wish.CHAT and each.job_id == job_id),
        key=lambda each: each.began,
    )
    router_kills = [kill.at for kill in kills if kill.target.startswith("router")]
    excuses = [
        (at, min((each.ended for each in chats if each.acknowledged and each.began > at), default=math.inf))
        for at in router_kills
    ]
    excuses = [(at, min(over, at + ROUTER_SECONDS_MAX)) for at, over in excuses]
    return [
        Violation("data path", f"{chat.user} at {chat.began:.2f}: {chat.status} {chat.said}")
        for chat in chats
        if not chat.acknowledged
        and not any(killed <= chat.ended and chat.began <= over for killed, over in excuses)
    ]


def check(requests: Sequence[Request], events: Sequence[Event], samples: Sequence[Sample]) -> list[Violation]:
    """All that must hold of a storm at any time."""
    return [
        *lost(requests, events),
        *doubled(requests, events),
        *twins(samples),
        *strangers(samples, events),
        *misanswered(requests),
    ]
