"""Quotas that are set while a scheduler runs, and a job without a place, explained by a scheduler that is asked over the bus."""

import asyncio
from contextlib import suppress

from hostler_bus.errors import NoResponder
from hostler_bus.memory import MemoryBus
from hostler_contracts import catalogue, subjects
from hostler_contracts.placements import PlacementAnswer, PlacementQuestion
from hostler_domain.phases import PhaseReason
from hostler_scheduler.answers import PlacementAnswers
from tests.integration.scheduler_autoscaler.site import Site
from tests.support.builders import JOB_ID, created
from tests.support.eventually import eventually
from tests.unit.scheduler.cluster import A100, project


async def bounded(site: Site, *, quota: int) -> None:
    record = catalogue.PROJECTS.encode(project(quota=quota))
    await site.bus.bucket(subjects.BUCKET_PROJECTS).put("default", record)


async def one_gpu_node(site: Site) -> None:
    await site.bus.bucket(subjects.BUCKET_HARDWARE_PROFILES).put(
        A100.name, catalogue.HARDWARE_PROFILES.encode(A100)
    )
    await site.report_here(cpu_cores=64, memory_gib=512, gpus=4, gpu_model="A100")


async def asked(site: Site) -> PlacementAnswer:
    question = PlacementQuestion(job_id=JOB_ID).model_dump_json().encode()
    while True:
        with suppress(NoResponder):
            data = await site.bus.request(subjects.SCHEDULER_EXPLAIN, question, timeout_seconds=5)
            return PlacementAnswer.model_validate_json(data)
        await asyncio.sleep(0)


async def test_a_quota_holds_a_job_back_until_an_admin_raises_it(site: Site) -> None:
    await one_gpu_node(site)
    await bounded(site, quota=0)
    async with site.scheduler():
        await site.append(created(hardware_profile="gpu.a100", gpu_count=1))
        await eventually(
            lambda: (
                (job := site.job()) is not None
                and job.status.phase_reason is PhaseReason.NON_PREEMPTIBLE_OVER_QUOTA
            )
        )
        await bounded(site, quota=1)
        await site.until_active(1)


async def test_a_scheduler_that_is_asked_tells_what_every_node_says(site: Site) -> None:
    await one_gpu_node(site)
    async with site.scheduler() as running:
        await site.append(created(hardware_profile="gpu.a100", gpu_count=9))
        await eventually(lambda: (job := running.jobs.get(JOB_ID)) is not None and job.job is not None)
        assert running.known is not None
        answers = PlacementAnswers(MemoryBus(site.server), running.known, site.clock, node_stale_seconds=30)
        task = asyncio.create_task(answers.run())
        try:
            # It serves as soon as its task has run; until then nobody answers.
            answer = await asked(site)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        (node,) = answer.nodes
        assert node.node == "local/node-a"
        assert ("large_enough", "needs 9 GPUs, 4 even when empty") in node.refusals
