"""The provisioner's hands on a memory bus: what an end leaves in the log when others write at the same time."""

import random

import pytest
import structlog

from hostler_bus.job_log import JobEntry, JobLog
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_domain.changes import Change, JobScaled, ReplicaBooting, ReplicaFailed
from hostler_domain.job import Progress
from hostler_domain.replica_states import ReplicaReason
from hostler_kit.clock import SystemClock
from hostler_kit.secret_key import SecretKey
from hostler_provisioner.effects import Effects
from hostler_provisioner.launches import Launches
from hostler_provisioner.plan import EndReplica, Report
from tests.simulation.faults import SimulatedPlace, Weather
from tests.support.builders import JOB_ID, at, created, ready, scheduled

FAILED = ReplicaFailed(at(9), "r1", ReplicaReason.START_FAILED, "its process ended with status 3: bad file")
LOST = ReplicaFailed(at(8), "r1", ReplicaReason.LOST, "its process is not there any more")


async def hands_behind_by(meanwhile: Change) -> tuple[MemoryBus, JobLog, JobProjection, Effects]:
    """The effects of a provisioner that knows r1 as scheduled and has not seen `meanwhile` yet."""
    clock = SystemClock()
    bus = MemoryBus(MemoryServer(clock))
    log = JobLog(bus, source="/hostler/test", clock=clock)
    entry: JobEntry | None = None
    for change in (created(), scheduled("r1")):
        entry = await log.append(entry, change)
    assert entry is not None
    jobs = JobProjection()
    jobs.apply(entry)
    await log.append(entry, meanwhile)
    weather = Weather(random.Random(1))
    weather.calm()
    effects = Effects(
        bus,
        log,
        jobs,
        SimulatedPlace(clock, weather, cores=4),
        Launches(bus.bucket(subjects.BUCKET_SECRETS), SecretKey(b"s" * 32)),
        clock,
        structlog.get_logger(),
        stop_grace_seconds=1,
        done=lambda: None,
    )
    return bus, log, jobs, effects


async def ended_while(meanwhile: Change) -> list[str | None]:
    """Reasons in the log after r1 was ended as `FAILED` by a provisioner that had not seen `meanwhile` yet."""
    bus, log, _, effects = await hands_behind_by(meanwhile)
    await effects.apply((EndReplica("r1", JOB_ID, FAILED, FAILED.detail),))
    await effects.close()
    reasons = [
        event.data.change.reason
        async for _, event in log.history("default", JOB_ID)
        if event.type == "dev.hostler.replica.failed.v1"
    ]
    await bus.drain()
    return reasons


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        pytest.param(
            JobScaled(at(8), 1, 2, ("load",)), [ReplicaReason.START_FAILED], id="the job was scaled"
        ),
        pytest.param(LOST, [ReplicaReason.LOST], id="somebody else wrote that it ended"),
    ],
)
async def test_how_a_replica_ended_is_written_once_whoever_else_writes(
    meanwhile: Change, expected: list[ReplicaReason]
) -> None:
    assert await ended_while(meanwhile) == expected


async def test_a_report_that_is_refused_for_an_unreadable_event_does_not_ask_for_another_look_at_once() -> (
    None
):
    clock = SystemClock()
    bus = MemoryBus(MemoryServer(clock))
    log = JobLog(bus, source="/hostler/test", clock=clock)
    jobs = JobProjection()
    entry = await log.append(await log.append(None, created()), scheduled("r1"))
    jobs.apply(entry)
    await bus.append(subjects.job_event("default", JOB_ID, "job.scaled"), b"{", msg_id="poison")
    weather = Weather(random.Random(1))
    weather.calm()
    looks: list[None] = []
    effects = Effects(
        bus,
        log,
        jobs,
        SimulatedPlace(clock, weather, cores=4),
        Launches(bus.bucket(subjects.BUCKET_SECRETS), SecretKey(b"s" * 32)),
        clock,
        structlog.get_logger(),
        stop_grace_seconds=1,
        done=lambda: looks.append(None),
    )
    await effects.apply((Report(JOB_ID, ready("r1")),))
    assert (looks, jobs.get(JOB_ID)) == ([], entry)
    await bus.drain()


async def test_a_report_that_lost_its_race_is_decided_anew_on_what_won() -> None:
    """Looking again at once with the old job in hand would lose again, as fast as the machine can."""
    bus, _, jobs, effects = await hands_behind_by(JobScaled(at(8), 1, 2, ("load",)))
    await effects.apply((Report(JOB_ID, ReplicaBooting(at(9), "r1", Progress(None, ""))),))
    entry = jobs.get(JOB_ID)
    assert entry is not None
    assert entry.job.status.desired_replicas == 2
    await bus.drain()
