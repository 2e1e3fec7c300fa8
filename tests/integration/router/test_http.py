"""HTTP as clients, good and bad ones, speak it to the router's port."""

import asyncio
import json
from contextlib import suppress

import pytest
from aiohttp import web

from tests.integration.router.harness import Harness, eventually, running_router
from tests.integration.router.raw_replica import document, raw_replica
from tests.integration.router.replicas import ANSWER, Replica, answers, chunk, streams
from tests.integration.router.wire_client import BODY, CHAT, WireClient, request, wire_client


async def slow_by_name(request: web.Request) -> web.StreamResponse:
    """Says which request it answers; the first one takes longer."""
    asked = json.loads(await request.read())
    if asked["user"] == "first":
        await asyncio.sleep(0.05)
    return web.json_response({**ANSWER, "id": asked["user"]})


def named(name: str) -> bytes:
    return request(CHAT, json.dumps({"model": "chat", "user": name}).encode())


async def test_requests_ahead_of_their_turn_are_answered_in_their_order(
    router: Harness, first: Replica
) -> None:
    first.behaviour = slow_by_name
    await router.add_job(first.url)
    async with wire_client(router) as client:
        probe = request("/healthz", None, method="GET")
        await client.send(named("first") + probe + named("second") + probe)
        await client.answer(3)
    bodies = [json.loads(each.body) for each in client.answers]
    assert [body.get("id") or body["status"] for body in bodies] == ["first", "ok", "second", "ok"]


async def test_thousands_of_requests_ahead_of_their_turn_do_not_nest(router: Harness, first: Replica) -> None:
    gate = asyncio.Event()

    async def waits(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.json_response(ANSWER)

    first.behaviour = waits
    await router.add_job(first.url)
    async with wire_client(router) as client:
        await client.send(request())
        await eventually(lambda: len(first.seen) == 1)
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        gate.set()
        await client.answer(2000)
    assert {each.status for each in client.answers} == {200}
    assert len(client.answers) == 2001


async def test_one_connection_serves_one_request_after_the_other(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    async with wire_client(router) as client:
        for number in range(3):
            await client.send(request())
            assert (await client.answer(number)).status == 200
    assert router.figure("hostler_router_upstream_connections") == 1


@pytest.mark.parametrize(
    ("version", "line", "stays"),
    [
        pytest.param("1.0", "X-None: 1", False, id="1.0"),
        pytest.param("1.0", "Connection: keep-alive", True, id="1.0 that wants to stay"),
        pytest.param("1.1", "Connection: close", False, id="1.1 that goes"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_clients_that_do_not_stay(
    router: Harness, first: Replica, version: str, line: str, stays: bool, stream: bool
) -> None:
    await router.add_job(first.url)
    body = json.dumps({"model": "chat", "stream": stream}).encode()
    async with wire_client(router) as client:
        await client.send(request(CHAT, body, line, version=version))
        if stays and not stream:
            answer = await client.answer()
            assert answer.headers["connection"] == ["keep-alive"]
            return
        said = await client.until_closed()
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in said
    assert (b"\r\ntransfer-encoding: chunked\r\n" in said) == (stream and version == "1.1")
    assert b"data: [DONE]\n\n" in said if stream else said.endswith(b"}")


async def test_a_probe_by_head_has_no_body(router: Harness) -> None:
    async with wire_client(router) as client:
        await client.send(request("/readyz", None, "Connection: close", method="HEAD"))
        said = await client.until_closed()
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 19\r\n" in said
    assert said.endswith(b"\r\n\r\n")


async def test_a_head_that_dribbles_ends_in_408() -> None:
    async with running_router(head_timeout_seconds=0.2) as router, wire_client(router) as client:
        await client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost:")
        assert (await client.until_closed()).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_nothing_comes_on_is_closed() -> None:
    async with running_router(keep_alive_seconds=0.1, head_timeout_seconds=0.1) as router:
        async with wire_client(router) as client:
            await client.send(request("/healthz", None, method="GET"))
            assert (await client.until_closed()).startswith(b"HTTP/1.1 200 OK")
        async with wire_client(router) as client:
            assert await client.until_closed() == b""


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([f"X-{number}: b" for number in range(100)], id="too many headers"),
        pytest.param(["X-A: " + "b" * 70_000], id="one too long"),
        pytest.param([f"X-{number}: {'b' * 700}" for number in range(97)], id="too long together"),
    ],
)
async def test_a_head_that_is_too_large_is_refused(router: Harness, first: Replica, lines: list[str]) -> None:
    await router.add_job(first.url)
    assert (
        await router.chat()
    ).status == 200  # now there is a connection on which another one could go out at once
    async with wire_client(router) as client:
        await client.send(request(CHAT, BODY, *lines) + request())
        said = await client.until_closed()
    assert said.startswith(b"HTTP/1.1 431 ")
    assert said.count(b"HTTP/1.1") == 1
    assert len(first.seen) == 1


async def test_a_large_head_below_the_bound_is_taken(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    async with wire_client(router) as client:
        await client.send(request(CHAT, BODY, *[f"X-{number}: {'b' * 600}" for number in range(90)]))
        assert (await client.answer()).status == 200


async def hung_up_on(client: WireClient, data: bytes) -> bool:
    """Whether the router hangs up on a client that goes on sending this."""
    with suppress(ConnectionError):
        for _ in range(500):
            await client.send(data)
            await asyncio.sleep(0.01)
        return False
    return True


async def test_trailers_without_end_are_refused(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    async with wire_client(router) as client:
        await client.send(request(CHAT, None, "Transfer-Encoding: chunked") + b"0\r\nX-Trailer: ")
        assert await hung_up_on(client, b"b" * 10_000)
    assert first.seen == []


async def test_a_body_in_chunks_reaches_the_replica_whole(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    async with wire_client(router) as client:
        await client.send(request(CHAT, None, "Transfer-Encoding: chunked", "X-Session-Id: a"))
        for start in range(0, len(BODY), 7):
            piece = BODY[start : start + 7]
            await client.send(b"%x;name=value\r\n%b\r\n" % (len(piece), piece))
        await client.send(b"0\r\nAuthorization: Bearer x\r\n\r\n")
        assert (await client.answer()).status == 200
    assert first.seen[0].body == BODY
    assert first.seen[0].headers["content-length"] == str(len(BODY))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request(CHAT, BODY, "Transfer-Encoding: chunked"), id="both lengths"),
        pytest.param(request(CHAT, BODY, "Content-Length: 3"), id="two lengths"),
        pytest.param(request(CHAT, None, "Content-Length: +3") + b"{}\n", id="a length with a sign"),
        pytest.param(request(CHAT, None, "Transfer-Encoding: chunked, identity"), id="chunked, then not"),
        pytest.param(request(CHAT, None, "Transfer-Encoding : chunked"), id="a space ahead of the colon"),
        pytest.param(
            request(CHAT, None, "Transfer-Encoding: chunked") + b"0x3\r\n{}\n\r\n0\r\n\r\n",
            id="a size with 0x",
        ),
        pytest.param(
            request(CHAT, None, "Transfer-Encoding: chunked") + b"3\n{}\n\r\n0\r\n\r\n", id="a bare LF"
        ),
        pytest.param(request(CHAT, BODY, " folded: 1"), id="a folded header"),
        pytest.param(b"GET /healthz HTTP/1.1\nHost: x\n\n", id="bare LFs"),
        pytest.param(b"GET  /healthz  HTTP/9.9\r\n\r\n", id="a version that there is not"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01", id="TLS"),
    ],
)
async def test_what_could_be_understood_in_two_ways_is_refused(
    router: Harness, first: Replica, data: bytes
) -> None:
    await router.add_job(first.url)
    async with wire_client(router) as client:
        await client.send(data + request())
        said = await client.until_closed()
    # The connection ends with it, so what was hidden behind it can't be taken for a request.
    assert first.seen == []
    assert said == b"" or said.startswith(b"HTTP/1.1 400 ")


async def test_an_upgrade_is_refused(router: Harness) -> None:
    async with wire_client(router) as client:
        await client.send(
            request("/healthz", None, "Connection: Upgrade", "Upgrade: websocket", method="GET")
        )
        assert (await client.until_closed()).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_asks_first_is_told_to_go_ahead(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    head, _, body = request(CHAT, BODY, "Expect: 100-continue").partition(b"\r\n\r\n")
    async with wire_client(router) as client:
        await client.send(head + b"\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send(body)
        answer = await client.answer(1)
        assert answer.status == 200
        assert "connection" not in answer.headers


@pytest.mark.parametrize("key", ["", "sk-wrong"])
async def test_a_client_that_asks_first_is_refused_without_its_body(router: Harness, key: str) -> None:
    head, _, _ = request(CHAT, b"x" * 1000, "Expect: 100-continue", key=key).partition(b"\r\n\r\n")
    async with wire_client(router) as client:
        await client.send(head + b"\r\n\r\n")
        said = await client.until_closed()
    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close\r\n" in said


async def test_who_is_refused_while_the_body_still_comes_gets_the_answer(first: Replica) -> None:
    async with running_router(body_bytes_max=100_000) as router:
        await router.add_job(first.url)
        async with wire_client(router) as client:
            await client.send(request(CHAT, None, "Transfer-Encoding: chunked"))
            for _ in range(50):
                await client.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            answer = await client.answer()
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (413, "request_too_large")
            await client.send(b"0\r\n\r\n" + request())
            assert (await client.answer(1)).status == 200


async def test_a_body_that_nobody_wants_may_not_come_for_ever(first: Replica) -> None:
    async with running_router(body_bytes_max=1000, head_timeout_seconds=0.2) as router:
        await router.add_job(first.url)
        async with wire_client(router) as client:
            await client.send(request(CHAT, None, "Transfer-Encoding: chunked"))
            assert await hung_up_on(client, b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            await eventually(lambda: router.figure("hostler_router_client_connections") == 0)


async def test_a_client_that_does_not_read_holds_the_replica_up_and_not_the_routers_memory(
    first: Replica,
) -> None:
    sent: list[int] = []

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        event = chunk("x" * 10_000) * 10
        for _ in range(500):
            await response.write(event)
            sent.append(len(event))
        await response.write(b"data: [DONE]\n\n")
        return response

    first.behaviour = behave
    async with running_router(stall_timeout_seconds=0.2) as router:
        await router.add_job(first.url)
        async with wire_client(router) as client:
            body = b'{"model":"chat","stream":true}'
            await client.send(request(CHAT, body, "Connection: close"))
            # Longer than a stall may take: who waits for the client is not to blame.
            reached = -1
            while reached != len(sent) or not sent:
                reached = len(sent)
                await asyncio.sleep(0.4)
            assert sum(sent) < 25e6, "held in the kernel's buffers at most"
            (connection,) = router.router._server.connections
            assert connection.transport is not None
            assert connection.transport.get_write_buffer_size() < 2**20
            size = 0
            tail = b""
            async with asyncio.timeout(30):
                while data := await client.reader.read(2**20):
                    size += len(data)
                    tail = (tail + data)[-100:]
            assert size > 50e6
            assert b"data: [DONE]\n\n" in tail
        assert router.figure("hostler_router_streams_broken_total", reason="replica_stalled") == 0


async def test_a_client_that_never_takes_its_answer_is_let_go_in_the_end(first: Replica) -> None:
    async def behave(_: web.Request) -> web.StreamResponse:
        return web.json_response({**ANSWER, "id": "x" * 12_000_000})

    first.behaviour = behave
    async with running_router(keep_alive_seconds=0.1, head_timeout_seconds=0.1) as router:
        await router.add_job(first.url)
        async with wire_client(router) as client:
            await client.send(request())
            await eventually(
                lambda: (
                    router.figure("hostler_router_job_requests_total", job="job-1", outcome="answered") == 1
                )
            )
            await eventually(lambda: router.figure("hostler_router_client_connections") == 0)


async def test_a_client_that_hangs_up_amid_its_body_leaves_nothing(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    async with wire_client(router) as client:
        await client.send(request()[:-10])
        await eventually(lambda: router.figure("hostler_router_client_connections") == 1)
    await eventually(lambda: router.figure("hostler_router_client_connections") == 0)
    assert router.figure("hostler_router_client_disconnects_total") == 1
    assert len(router.router._running) == 0


async def test_an_answer_ahead_of_the_end_of_an_upload_ends_the_connection_to_the_replica() -> None:
    async with raw_replica() as early, running_router(replica_keep_alive_seconds=60) as router:
        early.answers_heads = True
        refusal = b'{"error":{"message":"no speech model","code":400}}'
        early.pieces = [document(refusal, b"400 Bad Request")]
        early.leave = early.leave.STAY
        await router.add_job(early.url)
        mark = b"frontier"
        form = b'--frontier\r\nContent-Disposition: form-data; name="model"\r\n\r\nchat\r\n--frontier\r\n'
        form += b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        form += b"x" * 20_000_000 + b"\r\n--frontier--\r\n"
        headers = {"content-type": f"multipart/form-data; boundary={mark.decode()}"}
        got = await router.post("/v1/audio/transcriptions", form, headers)
        assert got.status == 400
        await eventually(lambda: router.figure("hostler_router_upstream_connections") == 0)


async def test_a_form_that_is_refused_by_its_head_is_put_down_once(first: Replica) -> None:
    async with running_router(upload_timeout_seconds=0.1) as router:
        await router.add_job(first.url)
        got = await router.post("/v1/audio/transcriptions", b"x", {"content-type": "text/plain"})
        assert got.status == 400
        await asyncio.sleep(0.3)
        assert len(router.request_lines()) == 1


@pytest.mark.parametrize("behaviour", [answers, streams(2)])
async def test_no_header_comes_twice(router: Harness, first: Replica, behaviour: object) -> None:
    await router.add_job(first.url)
    async with wire_client(router) as client:
        await client.send(
            request(CHAT, json.dumps({"model": "chat", "stream": behaviour is not answers}).encode())
        )
        answer = await client.answer()
    assert all(len(values) == 1 for values in answer.headers.values())
