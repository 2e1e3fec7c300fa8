"""The scheduler on a bus: what it writes, when it writes nothing, and who of two writes."""

import asyncio

from hostler_bus.job_log import JobEntry
from hostler_bus.leases import hold
from hostler_bus.memory import MemoryBus
from hostler_domain.changes import (
    JobDeleteRequested,
    JobPending,
    JobScaled,
    ReplicaFailed,
    ReplicaScheduled,
    ReplicaTerminating,
)
from hostler_domain.phases import JobPhase, PhaseReason
from hostler_domain.replica_states import ReplicaReason, ReplicaState
from hostler_scheduler.service import Scheduler
from tests.integration.scheduler_autoscaler.site import Site, now
from tests.support.builders import JOB_ID, created, draining, terminated
from tests.support.eventually import eventually


async def test_a_new_job_gets_its_replicas_placed_with_the_reasons(site: Site):
    await site.report_here()
    async with site.scheduler() as running:
        await site.append(created(initial=2))
        job = await site.until_active(2)
        assert {replica.placement.node_key for replica in job.replicas} == {"local/node-a"}
        change = await site.last_change(ReplicaScheduled)
        assert isinstance(change, ReplicaScheduled)
        assert change.reasons == ("local/node-a is the only node",)
        await eventually(lambda: running.service.ready().detail == "leader")
        assert running.count("hostler_scheduler_actions_total", action="ScheduleReplica") == 2


async def test_a_job_without_room_is_told_once_and_placed_when_a_node_comes(site: Site):
    await site.report_here(cpu_cores=0.5)
    async with site.scheduler() as running:
        await site.append(created())
        await eventually(lambda: (job := site.job()) is not None and job.status.phase is JobPhase.PENDING)
        looks = running.count("hostler_scheduler_plan_seconds_count")
        await site.report_here(cpu_cores=0.5)
        await eventually(lambda: running.count("hostler_scheduler_plan_seconds_count") >= looks + 3)
        assert await site.events() == ["job.created", "job.pending"]
        change = await site.last_change(JobPending)
        assert isinstance(change, JobPending)
        assert change.reason is PhaseReason.NO_MATCHING_HARDWARE
        assert change.detail == "local/node-a: needs 1 CPU cores, 0.5 even when empty"
        await site.report_here(cpu_cores=4)
        job = await site.until_active(1)
        assert job.status.phase is JobPhase.INITIALIZING


async def test_the_room_of_an_ended_replica_goes_to_the_next_job(site: Site):
    await site.report_here(cpu_cores=1)
    async with site.scheduler():
        await site.append(created(maximum=1))
        (replica,) = (await site.until_active(1)).replicas
        await site.append(created(job_id="next", maximum=1), job_id="next")
        await eventually(lambda: (job := site.job("next")) is not None and bool(job.status.phase_detail))
        await site.append(JobDeleteRequested(now(), "key-1"))
        await site.until_active(0)
        gone = site.job()
        assert gone is not None
        assert [(each.state, each.reason) for each in gone.replicas] == [
            (ReplicaState.DRAINING, ReplicaReason.JOB_DELETED)
        ]
        waiting = site.job("next")
        assert waiting is not None
        assert waiting.active_replicas == ()
        await site.append(ReplicaTerminating(now(), replica.replica_id), terminated(replica.replica_id))
        await site.until_active(1, "next")


async def test_a_replica_that_was_lost_is_replaced(site: Site):
    await site.report_here()
    async with site.scheduler():
        await site.append(created())
        (before,) = (await site.until_active(1)).replicas
        await site.make_ready()
        await site.append(ReplicaFailed(now(), before.replica_id, ReplicaReason.LOST, "the host restarted"))
        await eventually(lambda: (job := site.job()) is not None and len(job.replicas) == 2)
        (after,) = (await site.until_active(1)).active_replicas
        assert after.replica_id != before.replica_id


async def test_a_request_that_cannot_work_is_given_up(site: Site):
    await site.report_here()
    async with site.scheduler():
        await site.append(created())
        (replica,) = (await site.until_active(1)).replicas
        await site.append(
            ReplicaFailed(now(), replica.replica_id, ReplicaReason.CANNOT_START, "no such flag")
        )
        await eventually(lambda: (job := site.job()) is not None and job.status.phase is JobPhase.FAILED)
        job = site.job()
        assert job is not None
        assert (job.status.phase_reason, job.status.phase_detail) == (
            PhaseReason.CANNOT_START,
            "no such flag",
        )
        assert job.active_replicas == ()


async def test_of_two_schedulers_one_acts_and_the_other_takes_over(site: Site):
    await site.report_here()
    async with site.scheduler("second-to-come") as other:
        async with site.scheduler("first-to-go") as one:
            await eventually(lambda: one.lease.held != other.lease.held)
            await site.append(created(initial=3))
            await site.until_active(3)
            assert await site.events() == ["job.created", *["replica.scheduled"] * 3]
        await eventually(lambda: other.lease.held)
        await site.append(JobScaled(now(), 3, 2, ("less",)))
        await site.until_active(2)
        assert (await site.events())[-1] == "replica.draining"


async def test_a_scheduler_that_starts_anew_finds_everything_in_the_log(site: Site):
    await site.report_here()
    async with site.scheduler():
        await site.append(created())
        await site.until_active(1)
    await site.append(JobScaled(now(), 1, 3, ("more",)))
    async with site.scheduler():
        await site.until_active(3)
    assert (await site.events()).count("replica.scheduled") == 3


async def test_a_plan_that_was_overtaken_is_dropped_and_made_anew(site: Site, monkeypatch):
    """Between the look and the append, somebody else drains a replica that the plan drains as well."""
    await site.report_here()
    async with site.scheduler():
        await site.append(created(initial=2))
        await site.until_active(2)
    job = await site.append(JobScaled(now(), 2, 1, ("less",)))
    youngest = max(job.active_replicas, key=lambda each: (each.created_at, each.replica_id))
    async with site.scheduler() as running:
        service = running.service
        assert isinstance(service, Scheduler)
        append, overtaken = service._log.append, asyncio.Event()

        async def slow_append(entry: JobEntry | None, change, **more) -> JobEntry:
            if not overtaken.is_set():
                overtaken.set()
                await site.append(draining(youngest.replica_id))
            return await append(entry, change, **more)

        monkeypatch.setattr(service._log, "append", slow_append)
        await overtaken.wait()
        await eventually(lambda: running.count("hostler_scheduler_overtaken_total") == 1)
        looks = running.count("hostler_scheduler_plan_seconds_count")
        await eventually(lambda: running.count("hostler_scheduler_plan_seconds_count") >= looks + 3)
    assert (await site.events()).count("replica.draining") == 1
    job_now = site.job()
    assert job_now is not None
    assert len(job_now.active_replicas) == 1


async def test_what_it_wrote_counts_before_it_comes_round(site: Site):
    """The log is not followed here: all that the scheduler knows of its own appends is what it put in itself."""
    await site.report_here()
    await site.append(created(initial=2))
    async with site.scheduler(follows_jobs=False, turns=False) as running:
        scheduler = running.service
        assert isinstance(scheduler, Scheduler)
        entry = await site.log.load("default", JOB_ID)
        assert entry is not None
        running.jobs.apply(entry)
        running.jobs.caught_up = True
        await eventually(lambda: scheduler.ready().detail == "leader")
        for _ in range(3):
            await scheduler.look()
        assert running.count("hostler_scheduler_overtaken_total") == 0
    assert (await site.events()).count("replica.scheduled") == 2


async def test_without_the_lease_nothing_is_written(site: Site):
    await site.report_here()
    async with (
        hold(
            MemoryBus(site.server), "scheduler", holder="elsewhere", ttl_seconds=2, clock=site.clock
        ) as theirs,
    ):
        await eventually(lambda: theirs.held)
        async with site.scheduler() as running:
            await site.append(created())
            await eventually(lambda: running.service.ready().detail == "standing by")
            for _ in range(3):
                assert isinstance(running.service, Scheduler)
                await running.service.look()
            assert await site.events(JOB_ID) == ["job.created"]
