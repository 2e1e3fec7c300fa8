"""The job log and its projections, on the memory twin and on a real server: races, and replay from the first message."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hostler_bus.errors import SequenceConflict
from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.port import Bus
from hostler_bus.projection import JobProjection
from hostler_contracts import codec, subjects
from hostler_contracts.envelope import TraceContext
from hostler_contracts.job_events import UnknownJobEventV0
from hostler_domain.changes import (
    Change,
    JobDeleted,
    JobDeleteRequested,
    JobPending,
    JobScaled,
    ReplicaBooting,
    ReplicaDraining,
    ReplicaFailed,
    ReplicaLoading,
    ReplicaTerminated,
    ReplicaTerminating,
    ReplicaUnhealthy,
)
from hostler_domain.commands import ScaleJob, decide
from hostler_domain.errors import IllegalTransition
from hostler_domain.evolve import evolve
from hostler_domain.job import Job, Progress
from hostler_domain.phases import PhaseReason
from hostler_domain.replica_states import ReplicaReason
from tests.conformance.bus.conftest import World
from tests.support.builders import JOB_ID, at, created, ready, scheduled
from tests.support.eventually import eventually

JOBS = [f"01939e00-0000-7000-8000-{number:012}" for number in range(6)]


def log_of(bus: Bus, world: World, name: str = "writer") -> JobLog:
    return JobLog(bus, source=f"/hostler/test/{name}", clock=world.clock)


@asynccontextmanager
async def projected(bus: Bus) -> AsyncIterator[JobProjection]:
    """A projection that has caught up, for the length of the block."""
    projection = JobProjection()
    running = asyncio.create_task(projection.run(bus))
    try:
        await eventually(lambda: projection.caught_up)
        yield projection
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def any_change(rng: random.Random, job: Job, step: int) -> Change:
    """Some change, perhaps one that does not fit."""
    replica = rng.choice([each.replica_id for each in job.replicas] or ["none"])
    moment = at(step)
    return rng.choice(
        [
            scheduled(f"r{step:04}", step),
            scheduled(f"r{step:04}", step),
            JobPending(moment, PhaseReason.NO_CAPACITY, "node-a: full"),
            JobScaled(moment, job.status.desired_replicas, rng.randint(1, 3), ("for the test",)),
            ReplicaBooting(moment, replica, Progress(rng.random(), "booting")),
            ReplicaLoading(moment, replica),
            ready(replica, step),
            ready(replica, step),
            ReplicaUnhealthy(moment, replica, "no answer"),
            ReplicaDraining(moment, replica, ReplicaReason.SCALED_DOWN),
            ReplicaTerminating(moment, replica),
            ReplicaTerminated(moment, replica),
            ReplicaFailed(moment, replica, ReplicaReason.CRASHED, "signal 9"),
        ]
    )


async def write_histories(log: JobLog, seed: int, steps: int) -> dict[str, JobEntry]:
    """Lives of several jobs, all legal; the first job's is over at the end."""
    rng = random.Random(seed)
    entries = {
        job_id: await log.append(None, created(job_id=job_id, name=f"job-{job_id[-1]}")) for job_id in JOBS
    }
    for step in range(steps):
        job_id = rng.choice(JOBS)
        try:
            entries[job_id] = await log.append(entries[job_id], any_change(rng, entries[job_id].job, step))
        except IllegalTransition:
            continue
    ending = entries[JOBS[0]]
    ending = await log.append(ending, JobDeleteRequested(at(steps), "key-1"))
    for replica in ending.job.replicas:
        if not replica.ended:
            lost = ReplicaFailed(at(steps), replica.replica_id, ReplicaReason.LOST, "gone")
            ending = await log.append(ending, lost)
    entries[JOBS[0]] = await log.append(ending, JobDeleted(at(steps)))
    return entries


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_replaying_the_log_from_the_first_message_rebuilds_every_projection_exactly(
    world: World, seed: int
) -> None:
    bus = await world.connect()
    async with projected(bus) as followed:
        written = await write_histories(log_of(bus, world), seed, steps=250)
        await eventually(lambda: dict(followed.jobs) == written)
    async with projected(await world.connect()) as started_late:
        folded: dict[str, Job] = {}
        replayed: dict[str, JobEntry] = {}
        count = 0
        async for message in bus.history(subjects.JOBS, subjects.JOBS_SUBJECTS):
            event = codec.decode(message.data)
            assert not isinstance(event, UnknownJobEventV0)
            folded[event.subject] = evolve(folded.get(event.subject), event.data.change)
            assert folded[event.subject] == event.data.job, (
                "the record in the event is what a fold arrives at"
            )
            replayed[event.subject] = JobEntry(event.data.job, message.seq)
            count += 1
        assert dict(started_late.jobs) == replayed == written
    assert count > 100
    assert [entry.job.deleted for entry in written.values()] == [True] + [False] * 5


async def test_of_writers_that_saw_the_same_job_one_wins(world: World) -> None:
    buses = [await world.connect() for _ in range(4)]
    first = await log_of(buses[0], world).append(None, created())
    changes = [scheduled(f"r{number}") for number in range(4)]
    outcomes = await asyncio.gather(
        *(log_of(bus, world).append(first, change) for bus, change in zip(buses, changes, strict=True)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, SequenceConflict) for outcome in outcomes) == 3
    assert [isinstance(outcome, JobEntry) for outcome in outcomes].count(True) == 1


async def test_a_writer_that_lost_decides_again_on_what_is_new(world: World) -> None:
    bus = await world.connect()
    log = log_of(bus, world)
    await log.append(None, created(maximum=100))

    async def one_more(number: int) -> JobEntry | None:
        def grow(job: Job | None) -> tuple[Change, ...]:
            assert job is not None
            wanted = job.status.desired_replicas + 1
            return decide(job, ScaleJob(at(number), wanted, (f"writer {number}",)))

        return await log.execute("default", JOB_ID, grow)

    await asyncio.gather(*(one_more(number) for number in range(10)))
    entry = await log.load("default", JOB_ID)
    assert entry is not None
    assert entry.job.status.desired_replicas == 11
    assert [seq async for seq, _ in log.history("default", JOB_ID)] == list(range(1, 12))


async def test_an_event_that_can_not_be_read_harms_nobody_else(world: World) -> None:
    bus = await world.connect()
    log = log_of(bus, world)
    await log.append(None, created(job_id=JOBS[0]))
    await bus.append(f"hostler.jobs.default.{JOBS[1]}.job-created", b"not an event", msg_id="poison")
    await log.append(None, created(job_id=JOBS[2]))
    async with projected(bus) as projection:
        assert set(projection.jobs) == {JOBS[0], JOBS[2]}
        assert projection.seq == 3


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("dev.hostler.replica.polished.v1", id="a kind that is not known here"),
        pytest.param("dev.hostler.job.created.v2", id="a later version of a known kind"),
    ],
)
async def test_an_event_of_the_future_gives_its_job_and_stops_nobody(world: World, kind: str) -> None:
    bus = await world.connect()
    log = log_of(bus, world)
    made = await log.append(None, created())
    stored = await bus.last(subjects.JOBS, subjects.JOBS_SUBJECTS)
    assert stored is not None
    event = json.loads(stored.data) | {"type": kind, "id": "later", "extra": {"not": "known"}}
    subject = subjects.job_event("default", JOB_ID, "replica.polished")
    await bus.append(subject, json.dumps(event).encode(), msg_id="later")
    other = await log.append(None, created(job_id=JOBS[4]))
    async with projected(bus) as projection:
        assert projection.get(JOB_ID) == JobEntry(made.job, 2)
        assert projection.get(JOBS[4]) == other
    assert await log.load("default", JOB_ID) == JobEntry(made.job, 2)


async def test_a_job_whose_latest_event_can_not_be_read_stands_as_its_last_readable_one_says(
    world: World,
) -> None:
    bus = await world.connect()
    log = log_of(bus, world)
    made = await log.append(None, created())
    placed = await log.append(made, scheduled())
    await bus.append(f"hostler.jobs.default.{JOB_ID}.replica-scheduled", b"not an event", msg_id="poison")
    async with projected(bus) as projection:
        assert projection.get(JOB_ID) == placed
        assert projection.seq == 3


async def test_a_projection_reads_what_its_owner_has_just_written_and_never_goes_back(world: World) -> None:
    bus = await world.connect()
    log = log_of(bus, world)
    first = await log.append(None, created())
    second = await log.append(first, scheduled())
    projection = JobProjection()
    assert projection.apply(second)
    assert not projection.apply(first)
    assert projection.get(JOB_ID) == second


TRACE = TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "rojo=1")


async def traces(log: JobLog) -> list[TraceContext | None]:
    return [event.trace async for _, event in log.history("default", JOB_ID)]


async def test_what_follows_from_a_traced_request_is_part_of_its_trace_until_it_is_done(
    world: World,
) -> None:
    bus = await world.connect()
    asked, others = log_of(bus, world), log_of(bus, world, "others")
    await asked.append(None, created(), correlation_id="request-1", trace=TRACE)
    entry = await others.load("default", JOB_ID)
    assert entry is not None
    entry = await others.append(entry, scheduled("r1", 1))
    async with projected(bus) as projection:
        known = projection.get(JOB_ID)
        assert known is not None
        assert known.trace == TRACE
    entry = await others.append(entry, ready("r1", 2))
    # It has what was asked for. What befalls it from now on is nobody's wish.
    entry = await others.append(entry, ReplicaUnhealthy(at(3), "r1", "no answer"))
    await others.append(entry, ready("r1", 4))
    assert await traces(others) == [TRACE, TRACE, TRACE, None, None]


async def test_a_request_without_a_trace_is_not_part_of_the_one_before_it(world: World) -> None:
    log = log_of(await world.connect(), world)
    entry = await log.append(None, created(), correlation_id="request-1", trace=TRACE)
    await log.append(entry, JobDeleteRequested(at(1), "key-1"), correlation_id="request-2")
    await log.execute("default", JOB_ID, lambda _: (JobDeleted(at(2)),))
    assert await traces(log) == [TRACE, None, None]


async def test_a_job_is_found_without_its_project(world: World) -> None:
    log = log_of(await world.connect(), world)
    entry = await log.append(None, created(project="team"))
    assert await log.find(JOB_ID) == entry
    assert await log.load("default", JOB_ID) is None
    assert await log.load("team", JOB_ID) == entry


def test_ready_replicas_come_out_of_the_histories() -> None:
    """The walk must reach the states that matter, or the replay proves little."""
    rng = random.Random(1)
    job = evolve(None, created())
    reached = set()
    for step in range(800):
        try:
            job = evolve(job, any_change(rng, job, step))
        except IllegalTransition:
            continue
        reached |= {replica.state for replica in job.replicas}
    assert {"Ready", "Unhealthy", "Draining", "Failed", "Terminated"} <= reached
