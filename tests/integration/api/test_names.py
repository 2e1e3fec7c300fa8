"""Two apis that want one name: one gets it, whoever dies or sleeps over it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from hostler_api.names import UNBORN_SECONDS, Names, NameTaken, NameUndecided
from hostler_bus.job_log import JobLog
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.port import Bucket
from hostler_contracts import subjects
from hostler_domain.changes import JobDeleted, JobDeleteRequested
from tests.support.builders import at, created
from tests.support.manual_clock import ManualClock

PROJECT = "default"


@dataclass
class Apis:
    """Two apis' views of the names, and the log that both write."""

    clock: ManualClock
    bus: MemoryBus
    log: JobLog
    first: Names
    second: Names

    async def make(self, job_id: str, name: str = "demo") -> None:
        await self.log.append(None, created(job_id=job_id, name=name))

    async def take_down(self, job_id: str) -> None:
        for change in (JobDeleteRequested(at(1), "key-1"), JobDeleted(at(2))):
            await self.log.execute(PROJECT, job_id, lambda _, change=change: (change,))

    async def holder_id(self, name: str = "demo") -> str | None:
        entry = await self.first.holder(PROJECT, name)
        return None if entry is None else entry.job.job_id


@pytest.fixture
async def apis(manual_clock: ManualClock) -> AsyncIterator[Apis]:
    bus = MemoryBus(MemoryServer(manual_clock))
    log = JobLog(bus, source="/hostler/api/test", clock=manual_clock)
    bucket = bus.bucket(subjects.BUCKET_NAMES)
    yield Apis(manual_clock, bus, log, Names(bucket, log, manual_clock), Names(bucket, log, manual_clock))
    await bus.drain()


async def test_the_name_of_a_living_job_is_taken(apis: Apis) -> None:
    await apis.first.claim(PROJECT, "demo", "job-1")
    await apis.make("job-1")
    with pytest.raises(NameTaken):
        await apis.second.claim(PROJECT, "demo", "job-2")
    assert await apis.holder_id() == "job-1"


async def test_another_project_has_names_of_its_own(apis: Apis) -> None:
    await apis.first.claim(PROJECT, "demo", "job-1")
    await apis.make("job-1")
    assert (await apis.second.claim("team", "demo", "job-2")).job_id == "job-2"


async def test_the_second_waits_until_it_knows_whether_the_first_got_its_job(apis: Apis) -> None:
    await apis.first.claim(PROJECT, "demo", "job-1")
    second = asyncio.create_task(apis.second.claim(PROJECT, "demo", "job-2"))
    await apis.clock.advance(0.5)
    assert not second.done()
    await apis.make("job-1")
    await apis.clock.advance(0.5)
    with pytest.raises(NameTaken):
        await second


async def test_the_second_gets_the_name_that_the_first_gave_up(apis: Apis) -> None:
    claim = await apis.first.claim(PROJECT, "demo", "job-1")
    await apis.first.give_up(claim)
    assert (await apis.second.claim(PROJECT, "demo", "job-2")).job_id == "job-2"


async def test_the_name_of_a_job_that_is_gone_is_free(apis: Apis) -> None:
    await apis.first.claim(PROJECT, "demo", "job-1")
    await apis.make("job-1")
    await apis.take_down("job-1")
    assert await apis.holder_id() is None
    assert (await apis.second.claim(PROJECT, "demo", "job-2")).job_id == "job-2"


async def test_a_claim_whose_api_died_before_the_job_is_taken_over_after_a_while(apis: Apis) -> None:
    await apis.first.claim(PROJECT, "demo", "job-1")
    with pytest.raises(NameUndecided):
        await apis.second.claim(PROJECT, "demo", "job-2", patience_seconds=0)
    apis.clock.jump(UNBORN_SECONDS + 1)
    assert (await apis.second.claim(PROJECT, "demo", "job-2")).job_id == "job-2"


async def test_the_same_request_claims_again_at_another_api(apis: Apis) -> None:
    await apis.first.claim(PROJECT, "demo", "job-1")
    again = await apis.second.claim(PROJECT, "demo", "job-1", patience_seconds=0)
    await apis.make("job-1")
    assert await apis.second.confirm(again)


async def test_an_api_that_slept_over_its_claim_learns_that_the_name_is_not_its_own(apis: Apis) -> None:
    claim = await apis.first.claim(PROJECT, "demo", "job-1")
    apis.clock.jump(UNBORN_SECONDS + 1)
    taken = await apis.second.claim(PROJECT, "demo", "job-2")
    await apis.make("job-1")
    await apis.make("job-2")
    assert [await apis.first.confirm(claim), await apis.second.confirm(taken)] == [False, True]


@dataclass
class HesitantBucket:
    """A bucket that is slow to update: something happens in between."""

    inner: Bucket
    meanwhile: Callable[[], Awaitable[None]]
    updates: list[str] = field(default_factory=list)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        if not self.updates:
            await self.meanwhile()
        self.updates.append(value.decode())
        return await self.inner.update(key, value, revision=revision)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


async def test_a_job_that_comes_while_its_claim_is_taken_over_keeps_the_name(apis: Apis) -> None:
    claim = await apis.first.claim(PROJECT, "demo", "job-1")
    apis.clock.jump(UNBORN_SECONDS + 1)
    bucket = HesitantBucket(apis.bus.bucket(subjects.BUCKET_NAMES), lambda: apis.make("job-1"))
    hasty = Names(bucket, apis.log, apis.clock)  # type: ignore[arg-type]  # passes on what it does not change
    with pytest.raises(NameTaken):
        await hasty.claim(PROJECT, "demo", "job-2")
    assert bucket.updates == ["job-2", "job-1"], "taken, and given back"
    assert await apis.first.confirm(claim)
    assert await apis.holder_id() == "job-1"
