"""A job with an event that nobody can read keeps its own writers waiting and no other job's."""

from hostler_bus.job_log import entry_of
from hostler_contracts import subjects
from tests.integration.scheduler_autoscaler.site import PROJECT, Site
from tests.support.builders import JOB_ID, created, ready, scheduled
from tests.support.eventually import eventually

OTHER = "zz-other-job"


async def test_a_poisoned_job_keeps_no_other_from_being_scaled(site: Site) -> None:
    await site.report_here()
    for job_id in (JOB_ID, OTHER):
        await site.append(created(job_id=job_id, initial=1), scheduled(), ready(), job_id=job_id)
        await site.minute(rps=24, job_id=job_id)
        if job_id == JOB_ID:  # so that it is the first that is looked at
            await site.bus.append(subjects.job_event(PROJECT, JOB_ID, "job.scaled"), b"{", msg_id="poison")
    async with site.autoscaler():
        await eventually(lambda: _desired(site, OTHER) == 3)
    last = await site.bus.last(subjects.JOBS, subjects.job_events(PROJECT, OTHER))
    assert last is not None
    assert entry_of(last).job.status.desired_replicas == 3
    assert _desired(site, JOB_ID) == 1


def _desired(site: Site, job_id: str) -> int | None:
    job = site.job(job_id)
    return None if job is None else job.status.desired_replicas
