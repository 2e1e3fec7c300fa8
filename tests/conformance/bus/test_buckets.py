"""Buckets: values, revisions, times to live, watches."""

import asyncio

import pytest

from hostler_bus.errors import BadKey, BusRefused, RevisionConflict, UnknownBucket
from hostler_bus.port import Bucket, Bus, CaughtUp, Deleted, Entry, Subscription
from hostler_contracts import subjects
from tests.conformance.bus.conftest import World

KEY = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture
def masters(bus: Bus) -> Bucket:
    return bus.bucket(subjects.BUCKET_MODEL_MASTERS)


@pytest.fixture
def leases(bus: Bus) -> Bucket:
    return bus.bucket(subjects.BUCKET_LEASES)


async def take(items: Subscription[Entry | Deleted | CaughtUp], count: int) -> list[str]:
    """The next items, in short."""
    async with asyncio.timeout(10):
        got = [await anext(items) for _ in range(count)]
    return [short(item) for item in got]


def short(item: Entry | Deleted | CaughtUp) -> str:
    match item:
        case Entry(key=key, value=value):
            return f"{key}={value.decode()}"
        case Deleted(key=key):
            return f"{key} gone"
        case CaughtUp():
            return "|"


async def test_a_value_is_read_back_with_its_revision(masters: Bucket) -> None:
    assert await masters.get(KEY) is None
    revision = await masters.put(KEY, b"one")
    entry = await masters.get(KEY)
    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == (KEY, b"one", revision)
    assert await masters.put(KEY, b"") > revision
    empty = await masters.get(KEY)
    assert empty is not None
    assert empty.value == b""


async def test_create_takes_a_key_without_a_value_only(masters: Bucket) -> None:
    await masters.create(KEY, b"one")
    with pytest.raises(RevisionConflict):
        await masters.create(KEY, b"two")
    await masters.delete(KEY)
    await masters.create(KEY, b"three")
    entry = await masters.get(KEY)
    assert entry is not None
    assert entry.value == b"three"


async def test_of_twenty_racing_creates_one_wins(masters: Bucket) -> None:
    await masters.put("k", b"")
    await masters.delete("k")
    outcomes = await asyncio.gather(
        *(masters.create("k", str(racer).encode()) for racer in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RevisionConflict) for outcome in outcomes) == 19


async def test_update_and_delete_go_by_the_revision(masters: Bucket) -> None:
    first = await masters.put(KEY, b"one")
    second = await masters.update(KEY, b"two", revision=first)
    with pytest.raises(RevisionConflict):
        await masters.update(KEY, b"three", revision=first)
    with pytest.raises(RevisionConflict):
        await masters.delete(KEY, revision=first)
    await masters.delete(KEY, revision=second)
    assert await masters.get(KEY) is None
    with pytest.raises(RevisionConflict):
        await masters.update(KEY, b"four", revision=second)


async def test_keys_are_those_with_a_value(masters: Bucket) -> None:
    assert await masters.keys() == ()
    for key in ("b", "a/x.y", "c"):
        await masters.put(key, b"")
    await masters.delete("c")
    await masters.delete("never-there")
    assert await masters.keys() == ("a/x.y", "b")


@pytest.mark.parametrize("key", ["", "a b", "a.*", ">", ".a", "a.", "a..b", "ä", "a\n"])
async def test_a_key_that_cannot_be_is_refused(masters: Bucket, key: str) -> None:
    with pytest.raises(BadKey):
        await masters.put(key, b"")
    with pytest.raises(BadKey):
        await masters.get(key)


async def test_a_bucket_that_is_not_declared_is_refused(bus: Bus) -> None:
    with pytest.raises(UnknownBucket):
        bus.bucket("nobody")


async def test_a_time_to_live_where_there_are_none_is_refused(masters: Bucket) -> None:
    with pytest.raises(BusRefused):
        await masters.put(KEY, b"", ttl_seconds=5)


async def test_a_watch_gives_what_is_there_and_then_what_changes(masters: Bucket) -> None:
    await masters.put("a", b"1")
    await masters.put("b", b"1")
    await masters.put("gone", b"1")
    await masters.delete("gone")
    async with masters.watch() as items:
        assert await take(items, 3) == ["a=1", "b=1", "|"]
        await masters.put("a", b"2")
        await masters.delete("b")
        assert await take(items, 2) == ["a=2", "b gone"]
        await masters.create("b", b"3")
        assert await take(items, 1) == ["b=3"]


async def test_a_watch_of_an_empty_bucket_is_caught_up_at_once(masters: Bucket) -> None:
    async with masters.watch() as items:
        assert await take(items, 1) == ["|"]


async def test_a_watch_of_one_key_sees_no_other(masters: Bucket) -> None:
    async with masters.watch("a.*") as items:
        assert await take(items, 1) == ["|"]
        await masters.put("b", b"1")
        await masters.put("a.x", b"1")
        assert await take(items, 1) == ["a.x=1"]


async def test_two_watches_from_two_connections_see_the_same(world: World) -> None:
    one, two = await world.connect(), await world.connect()
    name = subjects.BUCKET_NODES
    async with one.bucket(name).watch() as here, two.bucket(name).watch() as there:
        assert await take(here, 1) == await take(there, 1) == ["|"]
        await one.bucket(name).put("n", b"1")
        assert await take(here, 1) == await take(there, 1) == ["n=1"]


async def test_a_value_with_a_time_to_live_expires_and_watchers_are_told(
    world: World, leases: Bucket
) -> None:
    async with leases.watch() as items:
        assert await take(items, 1) == ["|"]
        await leases.put("k", b"1", ttl_seconds=1)
        assert await take(items, 1) == ["k=1"]
        await world.elapse(1)
        assert await take(items, 1) == ["k gone"]
    assert await leases.get("k") is None
    assert await leases.keys() == ()
    await leases.create("k", b"2", ttl_seconds=60)


async def test_a_new_value_takes_the_old_one_s_time_to_live_away(world: World, leases: Bucket) -> None:
    async with leases.watch() as items:
        assert await take(items, 1) == ["|"]
        first = await leases.create("short", b"1", ttl_seconds=1)
        await leases.update("short", b"2", revision=first, ttl_seconds=60)
        await leases.put("other", b"1", ttl_seconds=2)
        while await take(items, 1) != ["other=1"]:  # "short=1" comes too or is skipped
            pass
        await world.elapse(2)
        assert await take(items, 1) == ["other gone"]
    kept = await leases.get("short")
    assert kept is not None
    assert kept.value == b"2"
