"""What the runtimes say of themselves comes into the load windows; what they don't say, or say too slowly, keeps nothing up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
import structlog
from aiohttp import web

from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_contracts import subjects
from hostler_contracts.load import RuntimeLoad
from hostler_kit.secret_key import SecretKey
from hostler_router.replica_keys import ReplicaKeys
from hostler_router.runtime_watch import RuntimeWatch
from hostler_router.table import Endpoint
from tests.support.manual_clock import ManualClock

GAUGES = 'vllm:num_requests_running{model_name="m"} 3.0\nvllm:kv_cache_usage_perc{model_name="m"} 0.5\n'
SAID = RuntimeLoad(running=3, kv_utilisation=0.5)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Runtimes:
    """Servers that show figures, and the watch that asks them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.secret_key = SecretKey(b"k" * 32)
        self.endpoints: list[Endpoint] = []
        self.asked: list[str] = []
        bus = MemoryBus(MemoryServer(self.clock))
        self.watch = RuntimeWatch(
            lambda: self.endpoints,
            ReplicaKeys(self.secret_key, bus.bucket(subjects.BUCKET_SECRETS)),
            name="router-1",
            routers=lambda: ["router-1"],
            period_seconds=10.0,
            timeout_seconds=0.5,
            clock=self.clock,
            logger=structlog.get_logger(),
        )
        self._runners: list[web.AppRunner] = []

    async def serve(self, replica_id: str, answer: Answer, *, base: str = "", path: str = "/metrics") -> None:
        async def counted(request: web.Request) -> web.StreamResponse:
            self.asked.append(replica_id)
            return await answer(request)

        app = web.Application()
        app.router.add_get(path, counted)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.endpoints.append(Endpoint(replica_id, f"http://127.0.0.1:{port}{base}"))

    async def ask(self) -> None:
        await self.watch.ask_all()

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()


@pytest.fixture
async def runtimes() -> AsyncIterator[Runtimes]:
    made = Runtimes()
    yield made
    await made.close()


async def gauges(_: web.Request) -> web.Response:
    return web.Response(text=GAUGES)


async def test_a_runtime_that_shows_its_figures_beneath_v1_is_asked_there(runtimes: Runtimes) -> None:
    await runtimes.serve("r1", gauges, path="/v1/metrics")
    await runtimes.ask()
    assert runtimes.watch.figures == {"r1": SAID}


async def test_a_replica_is_asked_with_its_key_at_the_root_of_its_server(runtimes: Runtimes) -> None:
    keys: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        keys.append(request.headers.get("authorization"))
        return await gauges(request)

    await runtimes.serve("r1", answer, base="/v1")
    await runtimes.ask()

    assert runtimes.watch.figures == {"r1": SAID}
    assert keys == [f"Bearer {runtimes.secret_key.replica_key('r1')}"]


async def test_a_runtime_without_figures_is_left_out_and_asked_again_only_later(runtimes: Runtimes) -> None:
    async def missing(_: web.Request) -> web.Response:
        return web.Response(status=404, text=GAUGES)

    await runtimes.serve("r1", missing)
    await runtimes.serve("r2", gauges)
    await runtimes.ask()
    await runtimes.ask()
    assert runtimes.watch.figures == {"r2": SAID}
    assert runtimes.asked.count("r1") == 1

    runtimes.clock.jump(121)
    await runtimes.ask()
    assert runtimes.asked.count("r1") == 2


async def test_a_slow_and_an_endless_answer_keep_no_other_waiting(runtimes: Runtimes) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response(text=GAUGES)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(GAUGES.encode())
        try:
            while True:
                await response.write(b"# nothing\n" * 6554)
        except ConnectionError:
            return response

    await runtimes.serve("slow", slow)
    await runtimes.serve("endless", endless)
    await runtimes.serve("sound", gauges)
    async with asyncio.timeout(20):
        await runtimes.ask()
    assert runtimes.watch.figures == {"sound": SAID}


async def test_a_server_that_is_gone_takes_its_figures_along(runtimes: Runtimes) -> None:
    await runtimes.serve("r1", gauges)
    await runtimes.ask()
    runtimes.endpoints[0] = Endpoint("r1", "http://127.0.0.1:9")
    await runtimes.ask()
    assert runtimes.watch.figures == {}


async def test_a_server_that_dribbles_holds_up_nothing_and_no_thread(runtimes: Runtimes) -> None:
    connections: list[asyncio.StreamWriter] = []
    ended = asyncio.Event()

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(ConnectionError):
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.01)
        ended.set()

    server = await asyncio.start_server(dribble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    runtimes.endpoints.append(Endpoint("dribbles", f"http://127.0.0.1:{port}"))
    await runtimes.serve("sound", gauges)
    async with asyncio.timeout(20):
        await runtimes.ask()
        assert runtimes.watch.figures == {"sound": SAID}
        await ended.wait()
    server.close()
