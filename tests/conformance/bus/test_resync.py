"""Holding a projection against what is stored: everything that it has missed, once, and nothing else."""

import asyncio

from hostler_bus.job_log import JobLog
from hostler_bus.port import Bus
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_bus.reading import message_at
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey
from tests.conformance.bus.conftest import World
from tests.support.builders import JOB_ID, NOW, created, ready, scheduled
from tests.support.eventually import eventually


async def at_once() -> None:
    """No time for anything to come by itself."""


async def put_key(bus: Bus, name: str) -> None:
    record = ApiKey(
        key_id=name,
        name=name,
        project="p",
        key_hash=name,
        prefix="hsk",
        scopes=("inference",),
        created_at=NOW,
    )
    await bus.bucket(subjects.BUCKET_API_KEYS).put(name, catalogue.API_KEYS.encode(record))


async def test_a_projection_that_heard_nothing_has_every_job_after_one_resync(world: World, bus: Bus) -> None:
    log = JobLog(bus, source="/hostler/test", clock=world.clock)
    entry = None
    for change in (created(), scheduled(), ready()):
        entry = await log.append(entry, change)
    assert entry is not None
    jobs = JobProjection()
    assert await jobs.resync(bus, at_once) == 1
    assert (jobs.get(JOB_ID), jobs.seq) == (entry, entry.seq)
    assert await jobs.resync(bus, at_once) == 0


async def test_a_writer_s_own_entry_is_not_taken_for_missed(world: World, bus: Bus) -> None:
    log = JobLog(bus, source="/hostler/test", clock=world.clock)
    jobs = JobProjection()
    jobs.apply(await log.append(None, created()))
    assert await jobs.resync(bus, at_once) == 0


async def test_a_catalogue_that_heard_nothing_is_as_the_bucket_after_one_resync(bus: Bus) -> None:
    for name in ("one", "two", "three"):
        await put_key(bus, name)
    keys: CatalogueProjection[ApiKey] = CatalogueProjection(subjects.BUCKET_API_KEYS, catalogue.API_KEYS)
    assert await keys.resync(bus, at_once) == 3
    await bus.bucket(subjects.BUCKET_API_KEYS).delete("two")
    assert await keys.resync(bus, at_once) == 1
    assert sorted(keys.records) == ["one", "three"]
    assert await keys.resync(bus, at_once) == 0


async def test_a_catalogue_that_is_followed_and_resynced_at_once_ends_as_the_bucket(bus: Bus) -> None:
    keys: CatalogueProjection[ApiKey] = CatalogueProjection(subjects.BUCKET_API_KEYS, catalogue.API_KEYS)
    running = asyncio.create_task(keys.run(bus))
    bucket = bus.bucket(subjects.BUCKET_API_KEYS)
    for number in range(20):
        await put_key(bus, f"key-{number}")
        if number % 3 == 0:
            await bucket.delete(f"key-{number}")
        if number % 5 == 0:
            await keys.resync(bus, at_once)
    expected = [f"key-{number}" for number in range(20) if number % 3]
    await eventually(lambda: sorted(keys.records) == sorted(expected))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_message_is_read_by_its_sequence_or_is_none(bus: Bus) -> None:
    subject = subjects.job_event("p", "j", "replica.ready")
    for number in range(3):
        await bus.append(subject, str(number).encode(), msg_id=str(number))
    found = await message_at(bus, subjects.JOBS, 2)
    assert found is not None
    assert (found.seq, found.data, found.subject) == (2, b"1", subject)
    assert await message_at(bus, subjects.JOBS, 9) is None
