"""Watches: what is told, from where on, and how it is said that something can't be told any more."""

import asyncio

import pytest
from kubernetes.aio import watch
from kubernetes.aio.client import ApiException, CustomObjectsApi

from tests.conformance.kubernetes.site import CONFIG_MAPS, VMIS, Site, config_map, vmi


async def _now(site: Site, kind: str = CONFIG_MAPS) -> str:
    return (await site.send("GET", site.path(kind))).version


async def test_a_watch_tells_what_happens(site: Site) -> None:
    async with site.watching(CONFIG_MAPS, resourceVersion=await _now(site)) as stream:
        await site.made(CONFIG_MAPS, config_map("a"))
        await site.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}})
        await site.delete(CONFIG_MAPS, "a")

        assert await stream.take(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_replays_what_happened_since_its_revision(site: Site) -> None:
    since = await _now(site)
    await site.made(CONFIG_MAPS, config_map("a"))
    await site.delete(CONFIG_MAPS, "a")

    async with site.watching(CONFIG_MAPS, resourceVersion=since) as stream:
        assert await stream.take(2) == [("ADDED", "a"), ("DELETED", "a")]


async def test_a_watch_without_a_revision_begins_with_what_is_there(site: Site) -> None:
    await site.made(VMIS, vmi("a"))

    async with site.watching(VMIS) as stream:
        assert await stream.take(1) == [("ADDED", "a")]


async def test_a_deletion_carries_a_revision_of_its_own(site: Site) -> None:
    made = await site.made(CONFIG_MAPS, config_map("a"))
    async with site.watching(CONFIG_MAPS, resourceVersion=made.version) as stream:
        await site.delete(CONFIG_MAPS, "a")
        event = await stream.next()

    assert event is not None
    assert event["type"] == "DELETED"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made.version)


async def test_a_watch_tells_only_of_what_its_selector_means(site: Site) -> None:
    since = await _now(site)
    async with site.watching(CONFIG_MAPS, resourceVersion=since, labelSelector="in=yes") as stream:
        await site.made(CONFIG_MAPS, config_map("other"))
        await site.made(CONFIG_MAPS, config_map("a", labels={"in": "yes"}))
        await site.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"in": "no"}}})
        await site.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"in": "yes"}}})

        assert await stream.take(3) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


async def test_a_watch_ends_when_its_time_is_over(site: Site) -> None:
    async with site.watching(VMIS, resourceVersion=await _now(site, VMIS), timeoutSeconds="1") as stream:
        assert await stream.rest() == []


async def test_a_bookmark_comes_before_the_end_and_carries_a_later_revision(site: Site) -> None:
    since = await _now(site, VMIS)
    async with site.watching(
        VMIS, resourceVersion=since, timeoutSeconds="2", allowWatchBookmarks="true"
    ) as stream:
        events = await stream.rest()

    assert {each["type"] for each in events} == {"BOOKMARK"}
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) >= int(since)


async def test_initial_events_end_with_a_bookmark_that_says_so(site: Site) -> None:
    await site.made(VMIS, vmi("a"))
    async with site.watching(
        VMIS, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true"
    ) as stream:
        first, second = await stream.next(), await stream.next()
        await site.patch(VMIS, "a", {"metadata": {"labels": {"later": "yes"}}})
        third = await stream.take(1)

    assert first is not None
    assert second is not None
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert second["type"] == "BOOKMARK"
    assert second["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
    assert third == [("MODIFIED", "a")]


async def test_initial_events_must_be_asked_for_rightly(site: Site) -> None:
    refused = await site.send("GET", site.path(VMIS), watch="true", sendInitialEvents="true")

    assert (refused.status, refused.reason) == (422, "Invalid")


async def test_a_watch_from_the_future_is_silent(site: Site) -> None:
    future = str(int(await _now(site)) + 1_000_000)
    async with site.watching(CONFIG_MAPS, resourceVersion=future, timeoutSeconds="2") as stream:
        await site.made(CONFIG_MAPS, config_map("a"))

        assert [each for each in await stream.rest() if each["type"] == "ADDED"] == []


async def test_a_revision_that_is_not_kept_any_more_is_an_error_inside_the_stream(site: Site) -> None:
    if site.fake is not None:
        await site.made(CONFIG_MAPS, config_map("a"))
        site.fake.store.forget(site.fake.store.revision)
    async with site.watching(CONFIG_MAPS, resourceVersion="1") as stream:
        event = await stream.next()
        after = await stream.next()

    if site.fake is None and event is not None and event["type"] != "ERROR":
        pytest.skip("this server still keeps its first revision")
    assert event is not None
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert after is None


async def test_the_client_raises_what_a_stream_says_is_gone(site: Site) -> None:
    if site.fake is not None:
        await site.made(VMIS, vmi("a"))
        site.fake.store.forget(site.fake.store.revision)
    custom = CustomObjectsApi(site.api)
    where = ("kubevirt.io", "v1", site.namespace, "virtualmachineinstances")
    watcher = watch.Watch()

    async def first_event() -> None:
        how = {"resource_version": "1", "timeout_seconds": 5}
        async for event in watcher.stream(custom.list_namespaced_custom_object, *where, **how):
            pytest.skip(f"this server still keeps its first revision: {event['type']}")

    try:
        with pytest.raises(ApiException) as raised:
            await first_event()
    finally:
        await watcher.close()

    assert raised.value.status == 410


async def test_many_watchers_see_the_same_in_the_same_order(site: Site) -> None:
    since = await _now(site)

    async def seen() -> list[tuple[str, str]]:
        async with site.watching(CONFIG_MAPS, resourceVersion=since) as stream:
            return await stream.take(20)

    watchers = [asyncio.create_task(seen()) for _ in range(4)]
    for number in range(10):
        await site.made(CONFIG_MAPS, config_map(f"n{number}"))
        await site.delete(CONFIG_MAPS, f"n{number}")
    found = await asyncio.gather(*watchers)

    expected = [(kind, f"n{number}") for number in range(10) for kind in ("ADDED", "DELETED")]
    assert found == [expected] * 4
