"""A catalogue in memory: a writer reads its own writes at once, and nothing older comes after something newer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import CatalogueProjection
from hostler_contracts.catalogue import KEY_USES, KeyUse
from hostler_contracts.subjects import BUCKET_KEY_USES
from tests.support.builders import at
from tests.support.eventually import eventually

OLD, NEW, NEWEST = (KeyUse(key_id="k", used_at=at(hour * 3600)) for hour in range(3))


@asynccontextmanager
async def followed(bus: MemoryBus, uses: CatalogueProjection[KeyUse]) -> AsyncIterator[None]:
    task = asyncio.create_task(uses.run(bus))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bus.drain()


def made() -> tuple[MemoryBus, CatalogueProjection[KeyUse]]:
    return MemoryBus(MemoryServer()), CatalogueProjection(BUCKET_KEY_USES, KEY_USES)


async def test_an_own_write_is_there_at_once_and_stays_though_an_older_value_comes_after_it() -> None:
    bus, uses = made()
    revision = await bus.bucket(BUCKET_KEY_USES).put("k", KEY_USES.encode(OLD))
    uses.apply("k", NEW, revision + 1)
    assert uses.records["k"] == NEW
    async with followed(bus, uses):
        await eventually(lambda: uses.caught_up)
        assert uses.records["k"] == NEW
        bucket = bus.bucket(BUCKET_KEY_USES)
        await bucket.put("k", KEY_USES.encode(NEW))
        await bucket.put("k", KEY_USES.encode(NEWEST))
        await eventually(lambda: uses.records["k"] == NEWEST)


async def test_an_own_write_that_was_overtaken_does_not_come_back() -> None:
    bus, uses = made()
    async with followed(bus, uses):
        bucket = bus.bucket(BUCKET_KEY_USES)
        own = await bucket.put("k", KEY_USES.encode(OLD))
        await bucket.put("k", KEY_USES.encode(NEW))
        await eventually(lambda: uses.records.get("k") == NEW)
        uses.apply("k", OLD, own)
        assert uses.records["k"] == NEW


async def test_what_was_taken_away_is_gone_and_may_come_again() -> None:
    bus, uses = made()
    async with followed(bus, uses):
        bucket = bus.bucket(BUCKET_KEY_USES)
        uses.apply("k", OLD, await bucket.put("k", KEY_USES.encode(OLD)))
        await bucket.delete("k")
        await eventually(lambda: "k" not in uses.records)
        await bucket.put("k", KEY_USES.encode(NEW))
        await eventually(lambda: uses.records.get("k") == NEW)
