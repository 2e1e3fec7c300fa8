"""Who answers for the logs of a cluster: the one that holds its lease, and in bounded messages."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from hostler_bus.errors import NoResponder
from hostler_bus.leases import hold
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_contracts import subjects
from hostler_contracts.replica_logs import LogAnswer, LogQuestion
from hostler_kit.clock import SystemClock
from hostler_provisioner.local.backend import LocalBackend
from hostler_provisioner.local.replica import LocalSettings
from hostler_provisioner.replica_logs import ReplicaLogs
from tests.support.eventually import eventually


async def ask(bus: MemoryBus, question: LogQuestion) -> bytes:
    data = question.model_dump_json().encode()
    return await bus.request(subjects.provisioner_logs("local"), data, timeout_seconds=5)


async def test_only_the_one_that_acts_for_the_cluster_answers(tmp_path: Path) -> None:
    bus, clock = MemoryBus(MemoryServer()), SystemClock()
    backend = LocalBackend(LocalSettings(tmp_path), clock=clock, logger=structlog.get_logger())
    log = tmp_path / "replica-logs" / "r-1.txt"
    log.parent.mkdir()
    # The worst that JSON makes of a byte.
    log.write_bytes(b"\x01" * 4_000_000 + b"\nlast\n")
    question = LogQuestion(replica_id="r-1", tail_lines=2)
    async with hold(bus, "provisioner.local", holder="other", ttl_seconds=30, clock=clock) as other:
        await eventually(lambda: other.held)
        async with hold(bus, "provisioner.local", holder="mine", ttl_seconds=30, clock=clock) as mine:
            serving = asyncio.create_task(ReplicaLogs(bus, backend, mine, clock).run())
            await asyncio.sleep(0)
            with pytest.raises(NoResponder):
                await ask(bus, question)
            serving.cancel()
    async with hold(bus, "provisioner.local", holder="mine", ttl_seconds=30, clock=clock) as mine:
        await eventually(lambda: mine.held)
        serving = asyncio.create_task(ReplicaLogs(bus, backend, mine, clock).run())
        answer = b""
        async with asyncio.timeout(10):
            while not answer:
                with suppress(NoResponder):
                    answer = await ask(bus, question)
                await asyncio.sleep(0)
        assert len(answer) < 1_000_000
        assert LogAnswer.model_validate_json(answer).text.endswith("\nlast\n")
        nothing = LogAnswer.model_validate_json(await ask(bus, LogQuestion(replica_id="r-2")))
        assert not nothing.found
        serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await bus.drain()
