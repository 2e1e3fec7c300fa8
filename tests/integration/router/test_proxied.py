"""Routes that other services own, passed on to a real server, and what browsers are told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.integration.router.harness import ALICE_KEY, Harness, eventually, running_router
from tests.integration.router.replicas import Behaviour, Replica, answers_with, closed_port_url, replica
from tests.integration.router.wire_client import CHAT, Answer, request, wire_client

APP, OTHER = "https://app.example", "https://other.example"
LARGE = 20_000_000


@asynccontextmanager
async def owned(behaviour: Behaviour, **settings: object) -> AsyncIterator[tuple[Harness, Replica]]:
    """A router and the owner of its files."""
    async with (
        replica(behaviour) as owner,
        running_router(files_url=f"{owner.url}/base", **settings) as router,  # type: ignore[arg-type]  # a test's own
    ):
        yield router, owner


async def test_a_request_reaches_its_owner_and_the_answer_comes_back() -> None:
    async with owned(answers_with(201, {"id": "file-1"}, etag='"1"', server="secret")) as (router, owner):
        path = "/v1/files/a%20b?limit=2&after=x"
        headers = {
            "x-request-id": "mine",
            "content-type": "text/plain",
            "cookie": "c",
            "x-forwarded-for": "9.9.9.9",
        }
        got = await router.post(path, b"content", headers)
        assert (got.status, got.json) == (201, {"id": "file-1"})
        assert got.headers["etag"] == '"1"'
        assert got.headers["x-request-id"] == "mine"
        assert "server" not in got.headers
        (seen,) = owner.seen
        assert (seen.path, seen.body) == ("/base/v1/files/a b", b"content")
        assert seen.headers["authorization"] == f"Bearer {ALICE_KEY}"
        assert seen.headers["x-request-id"] == "mine"
        assert seen.headers["content-type"] == "text/plain"
        assert not {"cookie", "x-forwarded-for"} & set(seen.headers)
        (line,) = router.request_lines()
        assert (line["route"], line["status"], line["outcome"]) == ("/v1/files", 201, "answered")


async def test_the_alias_of_lyceum_s_clients_reaches_it_too() -> None:
    async with owned(answers_with(200, {})) as (router, owner):
        async with router.client.get("/openai/v1/files") as response:
            assert response.status == 200
        assert owner.seen[0].path == "/base/v1/files"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_goes_through_without_being_held(chunked: bool) -> None:
    sizes: list[int] = []
    gate = asyncio.Event()

    async def takes(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        sizes.append(len(await request.read()))
        return web.json_response({})

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/files", takes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    if chunked:
        head = request("/v1/files", None, "Transfer-Encoding: chunked")
        piece = b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000)
        data = head + piece * (LARGE // 100_000) + b"0\r\n\r\n"
    else:
        data = request("/v1/files", b"x" * LARGE)
    async with running_router(files_url=f"http://{host}:{port}") as router, wire_client(router) as client:
        sending = asyncio.create_task(client.send(data))
        await asyncio.sleep(0.3)
        (connection,) = router.router._pool._open
        assert connection._transport is not None
        assert 0 < connection._transport.get_write_buffer_size() < 2_000_000
        gate.set()
        await sending
        assert (await client.answer()).status == 200
    await runner.cleanup()
    assert sizes == [LARGE]


async def test_a_large_answer_comes_down_as_fast_as_it_is_taken() -> None:
    sent: list[int] = []

    async def gives(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": str(3 * LARGE)})
        await response.prepare(request)
        for _ in range(3 * LARGE // 100_000):
            await response.write(b"x" * 100_000)
            sent.append(100_000)
        return response

    async with owned(gives) as (router, _), wire_client(router) as client:
        await client.send(request("/v1/files/f/content", None, "Connection: close", method="GET"))
        reached = -1
        while reached != len(sent) or not sent:
            reached = len(sent)
            await asyncio.sleep(0.2)
        assert sum(sent) < 2 * LARGE
        async with asyncio.timeout(30):
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"content-length: 60000000\r\n" in head
            size = 0
            while data := await client.reader.read(2**20):
                size += len(data)
        assert size == 3 * LARGE


async def test_without_an_owner_the_route_is_not_offered(router: Harness) -> None:
    async with router.client.get("/v1/batches") as response:
        assert response.status == 501
        assert (await response.json())["error"]["code"] == "not_offered"


async def test_an_owner_that_is_away_is_a_503() -> None:
    async with running_router(files_url=closed_port_url()) as router:
        got = await router.post("/v1/files", b"x" * 100)
        assert got.status == 503
        assert got.headers["x-should-retry"] == "true"
        assert int(got.headers["retry-after"]) > 0


async def test_an_answer_of_the_owner_that_breaks_off_is_broken_off() -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with owned(breaks) as (router, _), wire_client(router) as client:
        await client.send(request("/v1/files", None, method="GET"))
        said = await client.until_closed()
        assert said.endswith(b"half\r\n"), "without its last chunk no client takes it for whole"
        (line,) = router.request_lines()
        assert line["outcome"] == "broken"


async def test_a_client_that_hangs_up_ends_the_work_of_the_owner() -> None:
    async def waits(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with owned(waits) as (router, owner):
        async with wire_client(router) as client:
            await client.send(request("/v1/files", None, method="GET"))
            await eventually(lambda: len(owner.seen) == 1)
        async with asyncio.timeout(1):
            await owner.gone.wait()
        await eventually(lambda: len(router.router._running) == 0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files/../models", 404),
        ("GET", "/v1/files/%2e%2e/jobs", 404),
        ("GET", "/v1/filesystem", 404),
        ("HEAD", "/v1/files", 405),
        ("PUT", "/v1/files/a", 405),
        ("OPTIONS", "/v1/files", 405),
    ],
)
async def test_what_the_owner_is_not_asked(method: str, path: str, status: int) -> None:
    async with owned(answers_with(200, {})) as (router, owner), wire_client(router) as client:
        await client.send(request(path, None, "Connection: close", method=method))
        assert (await client.until_closed()).startswith(b"HTTP/1.1 %d " % status)
        assert owner.seen == []


# Browsers.


async def asked(
    router: Harness, method: str, *lines: str, path: str = CHAT, body: bytes | None = None
) -> Answer:
    async with wire_client(router) as client:
        await client.send(request(path, body, *lines, method=method))
        return await client.answer()


PREFLIGHT = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")


async def test_without_the_setting_no_page_may_call(router: Harness) -> None:
    answer = await asked(router, "OPTIONS", f"Origin: {APP}", *PREFLIGHT)
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(("origins", "allowed"), [([APP], APP), (["*"], "*")])
async def test_a_page_that_may_call(first: Replica, origins: list[str], allowed: str) -> None:
    async with running_router(cors_origins=origins) as router:
        await router.add_job(first.url)
        before = await asked(router, "OPTIONS", f"Origin: {APP}", *PREFLIGHT)
        assert before.status == 204
        assert before.headers["access-control-allow-origin"] == [allowed]
        assert "authorization" in before.headers["access-control-allow-headers"][0]
        assert "POST" in before.headers["access-control-allow-methods"][0]
        for body, status in ((b'{"model":"chat"}', 200), (b'{"model":"nope"}', 404), (b"{", 400)):
            answer = await asked(router, "POST", f"Origin: {APP}", body=body)
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == [allowed]
            assert "x-request-id" in answer.headers["access-control-expose-headers"][0]
        stream = await asked(router, "POST", f"Origin: {APP}", body=b'{"model":"chat","stream":true}')
        assert stream.headers["access-control-allow-origin"] == [allowed]
        assert stream.body.endswith(b"data: [DONE]\n\n")
        listed = await asked(router, "GET", f"Origin: {APP}", path="/v1/models")
        assert (listed.status, listed.headers["access-control-allow-origin"]) == (200, [allowed])


async def test_a_page_that_may_not_call_is_told_nothing(first: Replica) -> None:
    async with running_router(cors_origins=[APP]) as router:
        await router.add_job(first.url)
        before = await asked(router, "OPTIONS", f"Origin: {OTHER}", *PREFLIGHT)
        answer = await asked(router, "POST", f"Origin: {OTHER}", body=b'{"model":"chat"}')
        assert (before.status, answer.status) == (204, 200)
        for each in (before, answer):
            assert not any(name.startswith("access-control") for name in each.headers)
            assert each.headers["vary"] == ["origin"], "or a cache would answer the wrong page"
        assert json.loads(answer.body)["usage"]
