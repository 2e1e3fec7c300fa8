"""A router's usage put together from its settings, and what a run of it does with what others left."""

import asyncio
import os
from pathlib import Path

import pytest
import structlog

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_contracts import subjects
from hostler_contracts.usage import decode_usage
from hostler_router.settings import RouterSettings
from hostler_router.usage_reporting import UsageReporter, usage_reporter
from tests.support.eventually import eventually
from tests.support.manual_clock import ManualClock
from tests.support.usage import record


class Lost:
    def __init__(self) -> None:
        self.count = 0

    def usage_lost(self, count: int) -> None:
        self.count += count

    def usage_spooled(self, count: int) -> None:
        pass

    def usage_committed(self, seconds: float) -> None:
        pass


class Away(MemoryBus):
    """A connection that is lost."""

    @property
    def connected(self) -> bool:
        return False


def reporter(bus: MemoryBus, folder: Path, clock: ManualClock, **fields: object) -> UsageReporter:
    settings = RouterSettings.model_validate({"usage_spool_dir": folder, **fields})
    return usage_reporter(
        bus, settings, name="router/1", clock=clock, metrics=Lost(), logger=structlog.get_logger()
    )


async def ended(reporter: UsageReporter, usage_id: str) -> None:
    told = asyncio.Event()
    reporter.committer.commit("p", "j", record(usage_id=usage_id), told.set)
    await told.wait()


async def test_files_bear_the_name_and_the_process_of_their_router(
    tmp_path: Path, manual_clock: ManualClock
) -> None:
    made = reporter(Away(MemoryServer()), tmp_path / "spool", manual_clock)
    await ended(made, "u1")
    (path,) = (tmp_path / "spool").iterdir()
    assert f"-router_1-{os.getpid()}-" in path.name
    made.backlog.close()


async def test_a_run_stores_what_a_dead_router_left_and_looks_again_after_a_while(
    tmp_path: Path, manual_clock: ManualClock
) -> None:
    server, folder = MemoryServer(manual_clock), tmp_path / "spool"
    dead, late = (reporter(Away(server), folder, manual_clock) for _ in range(2))
    await ended(dead, "u1")
    await ended(late, "u2")
    bus = MemoryBus(server)
    living = reporter(bus, folder, manual_clock)
    dead.backlog.close()
    running = asyncio.create_task(living.run())
    await eventually(lambda: len(list(folder.iterdir())) == 1)
    late.backlog.close()
    for _ in range(31):
        await manual_clock.advance(1)
    assert list(folder.iterdir()) == []
    running.cancel()
    events = [
        decode_usage(message.data).data
        async for message in bus.history(subjects.USAGE, subjects.USAGE_SUBJECTS)
    ]
    assert [[each.usage_id for each in event.requests] for event in events] == [["u1"], ["u2"]]
    assert len({event.writer for event in events}) == 2
    assert {event.number for event in events} == {1}


async def test_a_folder_lies_beneath_the_data_folder_where_it_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTLER_DATA_DIR", str(tmp_path))
    assert RouterSettings().usage_spool_folder == tmp_path / "usage-spool"
