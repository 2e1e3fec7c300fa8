"""How jobs are scaled, for the asynchronous client. Its twin is `sync_scaling`; they differ in the sending alone."""

from collections.abc import AsyncIterator
from datetime import datetime

from hostler_client import scaling_api
from hostler_client.async_tenancy import AsyncPerformer
from hostler_client.job_changes import ScalingChanges
from hostler_client.models import Job
from hostler_client.scaling_models import ScalingDecision, Simulation


class AsyncScalingOfJobs:
    """Why jobs have their numbers of replicas."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def decisions(
        self, job: str, *, since: datetime | None = None, limit: int | None = None, project: str | None = None
    ) -> AsyncIterator[ScalingDecision]:
        """What was decided about a job since then, oldest first, page by page as they are taken; the last hour by default."""
        after: int | None = None
        while True:
            page = await self._client.perform(
                scaling_api.decisions_page(job, since=since, after=after, limit=limit, project=project)
            )
            for each in page.data:
                yield each
            if not page.has_more or page.next is None:
                return
            after = page.next

    async def simulate(
        self,
        job: str,
        *,
        policy: str | None = None,
        since_seconds: int | None = None,
        scaling: ScalingChanges | None = None,
        target_rps: float | None = None,
        target_latency_p95_ms: float | None = None,
        project: str | None = None,
    ) -> Simulation:
        """Replay a job's recorded traffic, a day of it by default, with other settings or by another system's rule; it changes nothing."""
        return await self._client.perform(
            scaling_api.simulate(
                job,
                policy=policy,
                since_seconds=since_seconds,
                scaling=scaling,
                target_rps=target_rps,
                target_latency_p95_ms=target_latency_p95_ms,
                project=project,
            )
        )

    async def promote_shadow(self, job: str, *, revision: int | None = None) -> Job:
        """Let the job be scaled by what its shadow policy goes by; with a revision only if it is still the one that was read."""
        return await self._client.perform(scaling_api.promote_shadow(job, revision=revision))
