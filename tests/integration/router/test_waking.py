"""Requests for a job that sleeps: they wake it, wait for it, and are told when they wait in vain."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from hostler_contracts import subjects
from hostler_contracts.load import decode_window
from hostler_domain.changes import ReplicaReady, ReplicaScheduled
from tests.integration.router.harness import Harness, running_router
from tests.integration.router.replicas import ANSWER, Replica
from tests.integration.router.test_queueing import SLEEPING, nothing_left
from tests.support.builders import NODE, at


@asynccontextmanager
async def asleep(**settings: object) -> AsyncIterator[Harness]:
    """A router with a job at zero, whose windows come at once or not at all."""
    values = {"queue_timeout_seconds": 30, "metrics_period_seconds": 60, **settings}
    async with running_router(**values) as router:  # type: ignore[arg-type]  # a test's own
        await router.add_job(scaling=SLEEPING)
        yield router


async def wake(router: Harness, url: str) -> None:
    await router.append(ReplicaScheduled(at(1), "job-1-r1", NODE))
    await router.append(ReplicaReady(at(2), "job-1-r1", url))


async def stored_windows(router: Harness) -> list[tuple[int, int]]:
    """Arrivals and waiting requests of every window that was published by itself."""
    windows = [
        decode_window(message.data).data
        async for message in router.bus.history(subjects.METRICS, subjects.METRICS_SUBJECTS)
    ]
    return [(each.arrivals, each.queued) for each in windows]


async def test_a_request_for_a_sleeping_job_wakes_it_and_is_answered(first: Replica) -> None:
    async with asleep() as router:
        call = asyncio.create_task(router.chat())
        async with asyncio.timeout(5):
            while not await stored_windows(router):  # noqa: ASYNC110  # the store tells nobody
                await asyncio.sleep(0.01)
        assert await stored_windows(router) == [(1, 1)]
        await wake(router, first.url)
        assert (await call).status == 200
        await nothing_left(router)


async def test_one_that_waits_in_vain_for_a_sleeping_job_is_told_when_to_come_back() -> None:
    async with asleep(queue_timeout_seconds=0.15) as router:
        got = await router.chat()
        assert (got.status, got.error["code"]) == (503, "no_ready_replica")
        assert int(got.headers["retry-after"]) > 0
        assert got.headers["x-should-retry"] == "true"
        await nothing_left(router)


async def test_a_stream_that_waits_is_kept_alive_by_comments(first: Replica) -> None:
    async with asleep(keep_alive_comment_seconds=0.1) as router:
        body = json.dumps({"model": "chat", "stream": True}).encode()
        async with router.client.post("/v1/chat/completions", data=body) as response:
            assert response.status == 200
            for _ in range(2):
                assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
            await wake(router, first.url)
            rest = (await response.content.read()).replace(b": keep-alive\n\n", b"")
        assert rest.count(b"data: ") == 3
        assert rest.endswith(b"data: [DONE]\n\n")
        await nothing_left(router)


async def test_a_stream_that_waits_in_vain_ends_with_one_error_event() -> None:
    async with asleep(keep_alive_comment_seconds=0.05, queue_timeout_seconds=0.3) as router:
        got = await router.chat(stream=True)
        assert got.status == 200
        *comments, last, rest = got.body.split(b"\n\n")
        assert set(comments) == {b": keep-alive"}
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "no_ready_replica"
        assert rest == b""
        (noted,) = router.request_lines()
        assert (noted["outcome"], noted["status"]) == ("rejected", 200)
        await nothing_left(router)


async def test_a_replica_that_answers_an_opened_stream_with_a_document_is_not_left_hanging(
    first: Replica,
) -> None:
    async def behave(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.json_response(ANSWER)

    first.behaviour = behave
    async with running_router(keep_alive_comment_seconds=0.05) as router:
        await router.add_job(first.url)
        async with asyncio.timeout(5):
            got = await router.chat(stream=True)
        assert b'"replica_no_stream"' in got.body
        assert got.body.count(b"data: ") == 1
        await nothing_left(router)
