"""A process that commits usage as a router does and says on stdout whose end was told: `URL FOLDER NAME COMMIT`. To be killed by tests."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from hostler_bus.nats_bus import connect
from hostler_contracts.usage_records import UsageRecord
from hostler_kit.clock import SystemClock
from hostler_kit.ids import new_id
from hostler_router.metrics import RouterMetrics
from hostler_router.settings import RouterSettings, UsageCommit
from hostler_router.usage_reporting import usage_reporter
from tests.support.nats_server import PASSWORD, USER

_AT_ONCE = 32


async def main(url: str, folder: str, name: str, commit: str) -> None:
    bus = await connect(url, user=USER, password=PASSWORD, name=name)
    logger, clock = structlog.get_logger(), SystemClock()
    settings = RouterSettings(
        usage_spool_dir=Path(folder), usage_period_seconds=0.05, usage_commit=UsageCommit(commit)
    )
    reporter = usage_reporter(
        bus,
        settings,
        name=name,
        clock=clock,
        metrics=RouterMetrics(CollectorRegistry()),
        logger=logger,
    )
    loop = asyncio.get_running_loop()

    def begin() -> None:
        usage_id = new_id()
        finished = UsageRecord(
            usage_id=usage_id,
            request_id="r",
            key_id="key-1",
            key_project="p",
            replica_id="r1",
            model="a/b",
            route="/v1/chat/completions",
            status=200,
            outcome="answered",
            streamed=False,
            aborted=False,
            started_at=datetime.now(UTC),
            duration_seconds=0.1,
            prompt_tokens=5,
            completion_tokens=2,
        )

        def told() -> None:
            os.write(1, f"{usage_id}\n".encode())  # at once: what stands in a buffer was told to nobody
            loop.call_later(0.001, begin)

        reporter.committer.commit("p", "job-1", finished, told)

    for _ in range(_AT_ONCE):
        begin()
    await reporter.run()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:5]))
