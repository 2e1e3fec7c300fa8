"""Waiting for a job with the display that fits the terminal; `deploy --wait` and `jobs delete --wait` share it."""

import asyncio

from hostler_cli.output import say
from hostler_cli.progress import progress
from hostler_client import AsyncHostlerClient, Connection, Job, Until


def wait_for(connection: Connection, job: Job, until: Until, timeout_seconds: float) -> Job:
    """The job once it has come to `until`.

    Raises:
        JobFailed: it can't any more.
        WaitTimeout: it did not in time.
    """
    try:
        return asyncio.run(_wait(connection, job.job_id, until, timeout_seconds))
    except KeyboardInterrupt:
        say(f"no longer waiting; job {job.name} goes on: `hostler jobs get {job.job_id}`")
        raise


async def _wait(connection: Connection, job_id: str, until: Until, timeout_seconds: float) -> Job:
    async with AsyncHostlerClient.to(connection) as client:
        with progress() as show:
            return await client.jobs.wait(
                job_id, until=until, timeout_seconds=timeout_seconds, on_update=show
            )
