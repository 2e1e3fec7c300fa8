"""A replica dies with many streams on it: the others take them over few at a time, and before requests that have not begun."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from hostler_domain.changes import ReplicaUnhealthy
from hostler_domain.routing import Routing
from hostler_router.resume_turns import AT_ONCE
from tests.integration.router.harness import Harness, eventually, running_router
from tests.integration.router.replicas import Replica, chunk
from tests.support.builders import at


class Told:
    """A replica that says a word when it is told to, one for each stream, and dies when it is told to.

    Attributes:
        silent: Streams that came and have heard nothing yet.
        most_silent: The most of them at a time.
        asked: What each wanted: the rest of an answer, or a new one.
    """

    def __init__(self) -> None:
        self.silent = self.most_silent = 0
        self.asked: list[str] = []
        self.dies = asyncio.Event()
        self._words = asyncio.Semaphore(0)
        self._ends = asyncio.Semaphore(0)

    def says(self, words: int) -> None:
        for _ in range(words):
            self._words.release()

    def ends(self, streams: int) -> None:
        for _ in range(streams):
            self._ends.release()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.asked.append("rest" if body.get("continue_final_message") else "new")
        self.silent += 1
        self.most_silent = max(self.most_silent, self.silent)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await self._words.acquire()
        self.silent -= 1
        await response.write(chunk("word "))
        end, death = asyncio.ensure_future(self._ends.acquire()), asyncio.ensure_future(self.dies.wait())
        await asyncio.wait((end, death), return_when=asyncio.FIRST_COMPLETED)
        for each in (end, death):
            each.cancel()
        if self.dies.is_set():
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write(b"data: [DONE]\n\n")
        return response


@asynccontextmanager
async def streaming(router: Harness, count: int) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """So many streams, each begun."""
    body = json.dumps(
        {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    ).encode()
    async with aiohttp.ClientSession(
        router.url, headers=dict(router.client.headers), connector=aiohttp.TCPConnector(limit=0)
    ) as client:
        opened = await asyncio.gather(*(client.post("/v1/chat/completions", data=body) for _ in range(count)))
        yield list(opened)
        for each in opened:
            each.close()


async def test_a_herd_of_broken_streams_comes_to_a_replica_few_at_a_time_and_all_go_on(
    first: Replica, second: Replica
) -> None:
    streams = 10 * AT_ONCE  # more than the retry budget would allow
    dying, survivor = Told(), Told()
    first.behaviour, second.behaviour = dying, survivor
    async with running_router(queue_timeout_seconds=30) as router:
        await router.add_job(first.url)
        dying.says(streams)
        async with streaming(router, streams) as opened:
            await router.add_replica("job-1-r2", second.url)
            await router.append(ReplicaUnhealthy(at(3), "job-1-r1", "no answer"))
            dying.dies.set()
            for taken_over in range(AT_ONCE, streams + 1, AT_ONCE):
                await eventually(lambda: len(survivor.asked) == taken_over)  # noqa: B023  # asked within the round
                await eventually(lambda: survivor.silent == AT_ONCE)
                survivor.says(AT_ONCE)
            survivor.ends(streams)
            bodies = [await each.content.read() for each in opened]
    assert survivor.most_silent == AT_ONCE
    assert survivor.asked == ["rest"] * streams
    assert all(body.endswith(b": resumed\n\ndata: [DONE]\n\n") for body in bodies)


async def test_where_all_have_their_fill_broken_streams_wait_and_go_before_those_that_have_not_begun(
    first: Replica, second: Replica
) -> None:
    dying, survivor = Told(), Told()
    first.behaviour, second.behaviour = dying, survivor
    async with running_router(queue_timeout_seconds=30) as router:
        await router.add_job(first.url, second.url, routing=Routing(concurrency_per_replica=3))
        dying.says(3)
        survivor.says(3)
        async with streaming(router, 6) as begun:
            await eventually(lambda: len(dying.asked) == len(survivor.asked) == 3)
            waiting = asyncio.ensure_future(_later(router, 2))
            await eventually(lambda: router.figure("hostler_router_num_requests_waiting", job="job-1") == 2)
            await router.append(ReplicaUnhealthy(at(3), "job-1-r1", "no answer"))
            dying.dies.set()
            await eventually(lambda: router.figure("hostler_router_num_requests_waiting", job="job-1") == 5)
            assert len(survivor.asked) == 3, "it has its fill"
            survivor.says(5)
            survivor.ends(8)
            bodies = [await each.content.read() for each in begun]
            assert await waiting == [200, 200]
    assert survivor.asked[3:] == ["rest"] * 3 + ["new"] * 2
    assert sum(b": resumed" in body for body in bodies) == 3
    assert all(body.endswith(b"data: [DONE]\n\n") for body in bodies)


async def _later(router: Harness, count: int) -> list[int]:
    return [got.status for got in await asyncio.gather(*(router.chat(stream=True) for _ in range(count)))]


async def test_a_broken_stream_that_waits_in_vain_ends_with_the_error_by_which_it_broke(
    first: Replica, second: Replica
) -> None:
    dying, survivor = Told(), Told()
    first.behaviour, second.behaviour = dying, survivor
    async with running_router(queue_timeout_seconds=0.3) as router:
        await router.add_job(first.url, second.url, routing=Routing(concurrency_per_replica=1))
        dying.says(1)
        survivor.says(1)
        async with streaming(router, 2) as begun:
            dying.dies.set()
            found = [await each.content.read() for each in begun if b"error" in await _until_error(each)]
            assert router.figure("hostler_router_streams_broken_total", reason="replica_failed") == 1
            assert len(found) == 1
            survivor.ends(1)
        await eventually(lambda: len(router.router._running) == 0)
    assert survivor.asked == ["new"]


async def _until_error(response: aiohttp.ClientResponse) -> bytes:
    """What a stream brings within a second."""
    try:
        async with asyncio.timeout(1):
            return await response.content.readuntil(b"}}\n\n")
    except TimeoutError:
        return b""
