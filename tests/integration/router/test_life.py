"""The router's own life: draining replicas, stopping, windows, and going on without the bus."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from hostler_bus.port import Deleted, Entry
from hostler_contracts import subjects
from hostler_domain.changes import JobDeleteRequested
from tests.integration.router.harness import NAME, Harness, eventually, running_router
from tests.integration.router.replicas import Replica, streams
from tests.support.builders import at, draining


async def open_stream(router: Harness) -> aiohttp.ClientResponse:
    """A stream whose first event has come."""
    body = json.dumps({"model": "chat", "stream": True}).encode()
    response = await router.client.post("/v1/chat/completions", data=body)
    await response.content.readuntil(b"\n\n")
    return response


async def test_a_draining_replica_keeps_its_requests_and_gets_no_more(
    first: Replica, second: Replica
) -> None:
    gate = asyncio.Event()
    first.behaviour = second.behaviour = streams(1, gate=gate)
    async with running_router() as router:
        await router.add_job(first.url, second.url)
        opened = [await open_stream(router) for _ in range(4)]
        assert await router.in_flight_on("job-1-r1") == await router.in_flight_on("job-1-r2") == 2

        seq = await router.append(draining("job-1-r1"))
        assert await router.in_flight_on("job-1-r1", seq=seq) == 2
        opened.append(await open_stream(router))
        gate.set()
        for response in opened:
            assert (await response.content.read()).endswith(b"data: [DONE]\n\n")
        assert await router.in_flight_on("job-1-r1", seq=seq) == 0
        assert (len(first.seen), len(second.seen)) == (2, 3)


async def test_an_answer_does_not_count_before_the_draining_is_heard(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    seq = await router.append(draining("job-1-r1"))
    assert await router.in_flight_on("job-1-r1", seq=seq) == 0
    assert await router.in_flight_on("job-1-r1", seq=seq + 1) is None


async def test_the_router_can_be_found_while_it_serves_and_not_afterwards() -> None:
    async with running_router() as router:
        bucket = router.bus.bucket(subjects.BUCKET_ROUTERS)
        assert await bucket.keys() == (NAME,)
        await router.stop_router()
        assert await bucket.keys() == ()


async def test_its_entry_is_renewed_before_it_runs_out() -> None:
    async with running_router(presence_ttl_seconds=1) as router:
        bucket = router.bus.bucket(subjects.BUCKET_ROUTERS)
        revisions: list[int] = []
        async with asyncio.timeout(5), bucket.watch() as changes:
            async for change in changes:
                assert not isinstance(change, Deleted), "it ran out"
                if isinstance(change, Entry):
                    revisions.append(change.revision)
                if len(revisions) == 5:
                    break
        assert len(set(revisions)) == 5


async def test_a_stop_lets_streams_finish(first: Replica) -> None:
    gate = asyncio.Event()
    first.behaviour = streams(1, gate=gate)
    async with running_router() as router:
        await router.add_job(first.url)
        response = await open_stream(router)
        stop = asyncio.create_task(router.stop_router())
        await eventually(lambda: refused(router))
        assert await router.in_flight_on("job-1-r1") == 1, "it must be found as long as it has requests"
        gate.set()
        assert (await response.content.read()).endswith(b"data: [DONE]\n\n")
        await stop
        window = [w async for w in published(router)][-1]
        assert window == {"completed": 1, "in_flight": 0}


async def test_a_stop_that_can_not_wait_ends_streams_with_an_error_event(first: Replica) -> None:
    first.behaviour = streams(1, then="silence")
    async with running_router(drain_timeout_seconds=0.1) as router:
        await router.add_job(first.url)
        response = await open_stream(router)
        plain = asyncio.create_task(router.chat(stream=True, marker="second"))
        await eventually(lambda: len(first.seen) == 2)
        await router.stop_router()
        rest = (await response.content.read()).decode()
        assert json.loads(rest.removeprefix("data: "))["error"]["code"] == "router_stopping"
        assert json.loads((await plain).events[-1])["error"]["code"] == "router_stopping"
        assert first.gone.is_set()
        assert {line["outcome"] for line in router.request_lines()} == {"cut"}


def refused(router: Harness) -> bool:
    return router.router._server.closing


async def published(router: Harness) -> AsyncIterator[dict[str, int]]:
    for window in await router.windows():
        if window.arrivals or window.completed:
            yield {"completed": window.completed, "in_flight": window.in_flight}


async def test_every_living_job_has_a_window_each_period(first: Replica) -> None:
    async with running_router(metrics_period_seconds=0.05) as router:
        await router.add_job(first.url)
        await router.add_job(job_id="job-2", name="idle", project="bob")
        await router.chat()
        await asyncio.sleep(0.15)
        windows = await router.windows()
    assert sum(window.completed for window in windows if window.job_id == "job-1") == 1
    idle = [window for window in windows if window.job_id == "job-2"]
    assert len(idle) >= 2
    assert {(window.arrivals, window.router) for window in idle} == {(0, NAME)}


async def test_windows_follow_on_each_other_without_a_gap(router: Harness) -> None:
    await router.add_job()
    await router.windows()
    await router.windows()
    first, second, third = await router.windows()
    for before, after in ((first, second), (second, third)):
        ended = before.started_at.timestamp() + before.seconds
        assert after.started_at.timestamp() == pytest.approx(ended, abs=0.01)


async def test_a_deleted_job_is_unknown_and_has_no_figures_and_no_windows(
    router: Harness, first: Replica
) -> None:
    await router.add_job(first.url)
    await router.chat()
    assert router.figure("hostler_router_job_requests_total", job="job-1", outcome="answered") == 1
    await router.append(JobDeleteRequested(at(9), "key-1"))
    assert (await router.chat("job-1")).status == 404
    labels = {"job": "job-1", "outcome": "answered"}
    assert router.registry.get_sample_value("hostler_router_job_requests_total", labels) is None
    before = len(await router.windows())
    assert len(await router.windows()) == before


async def test_without_the_bus_the_router_serves_what_it_last_knew(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    await router.router_bus.drain()
    assert (await router.chat()).status == 200
    await router.router._reporter.publish()
    assert router.figure("hostler_router_windows_lost_total") == 1
    assert (await router.chat()).status == 200


async def test_a_revoked_key_stops_working_at_once(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    assert (await router.chat()).status == 200
    bucket = router.bus.bucket(subjects.BUCKET_API_KEYS)
    for key in await bucket.keys():
        await bucket.delete(key)
    await eventually(lambda: not router.router.keys.records)
    assert (await router.chat()).status == 401


async def test_two_routers_share_a_port() -> None:
    async with running_router() as one, running_router(port=one.router.port) as other:
        async with aiohttp.ClientSession(one.url, connector=aiohttp.TCPConnector(force_close=True)) as client:
            for _ in range(40):
                async with client.get("/v1/models") as response:
                    assert response.status == 401
        assert len(one.request_lines()) + len(other.request_lines()) == 40
        assert one.request_lines()
        assert other.request_lines()
