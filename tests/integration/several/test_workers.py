"""A router of two processes, from outside: one port, one ops port, and deaths of each of its parts."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import httpx2
import psutil
import pytest

from hostler_bus.nats_bus import NatsBus
from hostler_contracts import subjects
from hostler_contracts.catalogue import API_KEYS, ApiKey
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.changes import ReplicaReady, ReplicaScheduled
from tests.integration.router.replicas import Replica, replica, streams
from tests.integration.several.conftest import Witness
from tests.support.builders import NODE
from tests.support.servers import free_port
from tests.support.services import Service, Services, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

KEY = make_key(b"k" * 32)
HEADERS = {"Authorization": f"Bearer {KEY}"}
QUESTION = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
REQUESTS = "hostler_router_requests_total"


def workers_of(router: Service) -> list[psutil.Process]:
    return psutil.Process(router.process.pid).children()


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    alive = []
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                alive.append(each)
    return alive


async def ask(port: int, path: str = "/v1/models") -> int:
    """On a connection of its own, so that the kernel chooses anew; a reset is answered by asking again."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        for _ in range(5):
            with suppress(httpx2.TransportError):
                return (await client.get(path)).status_code
    return 0


async def routers_known(bus: NatsBus) -> list[str]:
    return sorted(await bus.bucket(subjects.BUCKET_ROUTERS).keys())


async def serve_demo(witness: Witness, url: str) -> None:
    """A job with one ready replica at `url`, and a key to ask it."""
    record = ApiKey(
        key_id="key-1",
        name="test",
        project="default",
        key_hash=hash_key(KEY),
        prefix=display_prefix(KEY),
        scopes=("inference",),
        created_at=datetime.now(UTC),
    )
    await witness.bus.bucket(subjects.BUCKET_API_KEYS).put(record.key_hash, API_KEYS.encode(record))
    await witness.create("demo")
    await witness.until_active("demo", 0)
    await witness.append("demo", ReplicaScheduled(datetime.now(UTC), "demo-r1", NODE))
    await witness.append("demo", ReplicaReady(datetime.now(UTC), "demo-r1", url))


@asynccontextmanager
async def slow_stream(port: int, going_on: Replica) -> AsyncIterator[asyncio.Task[str]]:
    """A stream that is under way when the block begins."""

    async def read() -> str:
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=HEADERS, timeout=60
        ) as client:
            answer = await client.post("/v1/chat/completions", json={**QUESTION, "stream": True})
            return answer.text

    reading = asyncio.create_task(read())
    await until(lambda: bool(going_on.seen), "the replica has the request")
    try:
        yield reading
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, httpx2.HTTPError):
            await reading


async def test_two_workers_share_a_port_and_answer_operators_as_one(
    services: Services, witness: Witness
) -> None:
    port = free_port()
    router = services.start("router", "router-1", port=str(port), workers="2")
    await until(lambda: router.ready, "both are ready")
    report = httpx2.get(f"{router.ops_url}/readyz").json()
    assert sorted(report["checks"]) == ["router-1-w1", "router-1-w2", "running", "started"]
    assert await routers_known(witness.bus) == ["router-1-w1", "router-1-w2"]

    assert set(await asyncio.gather(*(ask(port) for _ in range(60)))) == {401}
    assert router.metric(REQUESTS) == 60
    assert router.metric("hostler_router_request_seconds_count") == 60
    lines = router.logged("request")
    shares = [sum(line["service"] == f"router-1-w{number}" for line in lines) for number in (1, 2)]
    assert sum(shares) == 60
    assert min(shares) > 0, "both answered"
    names = httpx2.get(f"{router.ops_url}/metrics").text
    for name in ("router-1", "router-1-w1", "router-1-w2"):
        assert f'hostler_service_info{{name="{name}",service="router"}} 1.0' in names


async def test_a_worker_that_is_killed_comes_back_while_the_other_serves(
    services: Services, witness: Witness
) -> None:
    port = free_port()
    router = services.start("router", "router-1", port=str(port), workers="2")
    await until(lambda: router.ready, "both are ready")
    await asyncio.gather(*(ask(port) for _ in range(40)))
    assert router.metric(REQUESTS) == 40
    victim, survivor = workers_of(router)
    victim.kill()
    await until(lambda: not router.ready, "it is noticed")
    assert [await ask(port) for _ in range(20)] == [401] * 20
    assert router.metric(REQUESTS) >= 60, "what the dead one had counted is not forgotten"
    await until(lambda: router.ready, "it is back")
    assert router.metric("hostler_router_worker_restarts_total") == 1
    assert survivor.is_running()
    before = router.metric(REQUESTS)
    await asyncio.gather(*(ask(port) for _ in range(40)))
    assert router.metric(REQUESTS) == before + 40
    assert len([each for each in workers_of(router) if each.pid not in (victim.pid, survivor.pid)]) == 1


async def test_told_to_stop_all_finish_what_they_have_and_leave(services: Services, witness: Witness) -> None:
    port = free_port()
    gate = asyncio.Event()
    async with replica(streams(2, gate=gate)) as slow:
        await serve_demo(witness, slow.url)
        router = services.start("router", "router-1", port=str(port), workers="2")
        await until(lambda: router.ready, "both are ready")
        workers = workers_of(router)
        async with slow_stream(port, slow) as stream:
            router.process.terminate()
            await until(lambda: len(living(workers)) == 1, "the idle worker has ended")
            assert await ask(port) == 0, "nobody takes a request any more"
            assert not router.ready
            gate.set()
            text = await stream
            code = await asyncio.to_thread(router.process.wait, 60)
    assert text.rstrip().endswith("data: [DONE]")
    assert code == 0
    assert living(workers) == []
    assert await routers_known(witness.bus) == []
    assert [line["service"] for line in router.logged("service.stopped")][-1] == "router-1"
    assert [line["code"] for line in router.logged("service.stopped")] == [0, 0, 0]


async def test_a_parent_that_is_killed_leaves_nobody_behind(services: Services, witness: Witness) -> None:
    port = free_port()
    router = services.start("router", "router-1", port=str(port), workers="2")
    await until(lambda: router.ready, "both are ready")
    workers = workers_of(router)
    assert len(living(workers)) == 2
    killed = time.monotonic()
    router.kill()
    await until(lambda: living(workers) == [], "the workers have ended", timeout_seconds=5)
    print(f"the workers had ended {time.monotonic() - killed:.2f} s after their parent")
    assert await routers_known(witness.bus) == [], "in order: their entries are taken away"


async def test_the_streams_of_a_killed_parents_workers_end_whole_under_names_that_nobody_else_has(
    services: Services, witness: Witness
) -> None:
    port = free_port()
    gate = asyncio.Event()
    async with replica(streams(2, gate=gate)) as slow:
        await serve_demo(witness, slow.url)
        router = services.start("router", "router-1", port=str(port), workers="2")
        await until(lambda: router.ready, "both are ready")
        orphans = workers_of(router)
        async with slow_stream(port, slow) as stream:
            router.kill()
            await until(lambda: len(living(orphans)) == 1, "the idle worker has ended")
            successor = services.start("router", "router-1", port=str(port), workers="2")
            await until(lambda: successor.ready, "the successor is ready")
            assert await ask(port) == 401
            named = await routers_known(witness.bus)
            assert not stream.done()
            gate.set()
            text = await stream
    assert text.rstrip().endswith("data: [DONE]")
    assert len(named) == 3, "the orphan keeps its name to itself"


async def test_a_router_that_can_never_start_says_so_and_ends(services: Services, witness: Witness) -> None:
    (services.folder / "secret.key").touch(mode=0o600)
    (services.folder / "secret.key").write_text("too short")
    router = services.start("router", "router-1", port=str(free_port()), workers="2")
    code = await asyncio.to_thread(router.process.wait, 60)
    assert code == 1
    assert router.logged("service.cannot_start"), "the worker says why"
    assert "before any worker had served" in json.dumps(router.logged("task.died"))


async def test_a_port_that_is_taken_is_named(services: Services, witness: Witness) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        router = services.start("router", "router-1", port=str(port), workers="2")
        assert await asyncio.to_thread(router.process.wait, 60) == 1
    assert f"127.0.0.1:{port}" in str(router.logged("service.cannot_start")[0]["reason"])


async def test_port_zero_is_one_port_for_all(services: Services, witness: Witness) -> None:
    router = services.start("router", "router-1", port="0", workers="2")
    await until(lambda: router.ready, "both are ready")
    told = {line["port"] for line in router.logged("router.listening")}
    assert told == {line["port"] for line in router.logged("router.workers")}
    assert len(told) == 1
    assert await ask(int(str(told.pop()))) == 401
    router.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(router.process.wait, 60) == 0
