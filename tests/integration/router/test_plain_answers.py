"""Requests that are answered at once: what reaches the replica, what comes back, and what happens when replicas fail."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from tests.integration.router.harness import ALICE_KEY, SECRET_KEY, Harness, eventually, running_router
from tests.integration.router.replicas import (
    ANSWER,
    Behaviour,
    Replica,
    answers_with,
    closed_port_url,
    hangs,
    resets,
    sends_half,
    truncates,
)


async def test_an_answer_comes_back_as_the_replica_gave_it(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    got = await router.chat()
    assert (got.status, got.json) == (200, ANSWER)
    assert got.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
async def test_the_body_travels_untouched_and_the_key_does_not(
    router: Harness, first: Replica, path: str
) -> None:
    await router.add_job(first.url)
    body = b'{ "model": "chat",  "input":"x", "unknown": [1.0, null], "stream": false}'
    got = await router.post(
        path, body, {"x-request-id": "my-id.7", "cookie": "a=b", "x-forwarded-for": "10.0.0.1"}
    )
    assert got.status == 200
    (seen,) = first.seen
    assert (seen.path, seen.body) == (path, body)
    assert seen.headers["authorization"] == f"Bearer {SECRET_KEY.replica_key('job-1-r1')}"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["x-request-id"] == "my-id.7" == got.headers["x-request-id"]
    assert not {"cookie", "x-forwarded-for", "x-api-key"} & set(seen.headers)
    assert ALICE_KEY not in str(seen)


@pytest.mark.parametrize(
    "given",
    [pytest.param("a b", id="blank"), pytest.param("x" * 65, id="long"), pytest.param("ä", id="letters")],
)
async def test_a_request_id_that_is_not_harmless_is_replaced(router: Harness, given: str) -> None:
    got = await router.post("/v1/chat/completions", b"{}", {"x-request-id": given})
    assert len(got.headers["x-request-id"]) == 36
    assert got.headers["x-request-id"] != given


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(None, "no_ready_replica", id="nobody listens"),
        pytest.param(resets(), "replica_failed", id="resets"),
        pytest.param(resets(after_head=True), "replica_failed", id="resets after its head"),
        pytest.param(truncates, "replica_failed", id="truncates"),
        pytest.param(sends_half, "replica_failed", id="sends half a document"),
        pytest.param(answers_with(502, {}), "no_ready_replica", id="502"),
        pytest.param(answers_with(503, {"error": "loading"}), "no_ready_replica", id="503"),
    ],
)
async def test_a_replica_that_fails_is_replaced_by_another(
    router: Harness, first: Replica, second: Replica, behaviour: Behaviour | None, reason: str
) -> None:
    first.behaviour = behaviour or first.behaviour
    await router.add_job(closed_port_url() if behaviour is None else first.url, second.url)
    for _ in range(6):  # whichever of the two is asked first
        got = await router.chat()
        assert (got.status, got.json) == (200, ANSWER)
    retries = router.figure("hostler_router_retries_total", reason=reason)
    assert retries == sum(line["tries"] == 2 for line in router.request_lines()) > 0


async def test_no_replica_is_asked_twice_and_no_more_than_three(router: Harness) -> None:
    await router.add_job(*(closed_port_url() for _ in range(5)))
    got = await router.chat()
    assert (got.status, got.error["code"]) == (503, "no_ready_replica")
    assert got.headers["retry-after"] == "2"
    assert got.headers["x-should-retry"] == "true"
    assert router.request_lines()[0]["tries"] == 3


@pytest.mark.parametrize(
    ("behaviour", "status", "code", "should_retry"),
    [
        pytest.param(resets(), 502, "replica_failed", "true", id="resets"),
        pytest.param(truncates, 502, "replica_failed", "true", id="truncates"),
        pytest.param(answers_with(503, {}), 503, "no_ready_replica", "true", id="503"),
        pytest.param(
            answers_with(401, {"error": "Unauthorized"}), 502, "replica_misconfigured", "false", id="401"
        ),
        pytest.param(
            answers_with(301, {}, location="http://127.0.0.1:1/"),
            502,
            "replica_misconfigured",
            "false",
            id="redirect",
        ),
        pytest.param(answers_with(404, {"detail": "Not Found"}), 404, None, "false", id="404"),
        pytest.param(
            answers_with(400, {"error": {"message": "m", "code": 400}}), 400, None, "false", id="400"
        ),
        pytest.param(answers_with(500, {}), 500, None, "true", id="500"),
    ],
)
async def test_without_another_replica_the_failure_has_the_openai_shape(
    router: Harness,
    first: Replica,
    behaviour: Behaviour,
    status: int,
    code: str | None,
    should_retry: str,
) -> None:
    first.behaviour = behaviour
    await router.add_job(first.url)
    got = await router.chat()
    assert (got.status, got.error["code"], got.headers["x-should-retry"]) == (status, code, should_retry)
    assert got.headers["x-request-id"]
    assert len(first.seen) == 1


async def test_a_large_body_arrives_whole(router: Harness, first: Replica) -> None:
    first.behaviour = answers_with(200, ANSWER)
    await router.add_job(first.url)
    body = json.dumps({"model": "chat", "user": "x" * 3_000_000}).encode()
    assert (await router.post("/v1/chat/completions", body)).status == 200
    assert first.seen[0].body == body
    assert first.seen[0].headers["content-length"] == str(len(body))


async def test_a_kept_connection_that_the_replica_closed_is_no_failure(
    router: Harness, first: Replica
) -> None:
    asked_on: list[object] = []

    async def closes_after_one(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        if request.protocol in asked_on:
            request.transport.abort()
        asked_on.append(request.protocol)
        return web.json_response(ANSWER)

    first.behaviour = closes_after_one
    await router.add_job(first.url)
    assert [(await router.chat()).status for _ in range(4)] == [200] * 4
    assert {line["tries"] for line in router.request_lines()} == {1}
    assert len(first.seen) > 4, "the second try was never needed, so this test shows nothing"


async def test_requests_are_spread_over_replicas(router: Harness, first: Replica, second: Replica) -> None:
    release = asyncio.Event()

    async def waits(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.json_response(ANSWER)

    first.behaviour = second.behaviour = waits
    await router.add_job(first.url, second.url)
    requests = [asyncio.create_task(router.chat()) for _ in range(10)]
    await eventually(lambda: len(first.seen) + len(second.seen) == 10)
    release.set()
    assert {(await request).status for request in requests} == {200}
    assert (len(first.seen), len(second.seen)) == (5, 5)


async def test_a_request_that_takes_longer_than_the_job_allows_ends(router: Harness, first: Replica) -> None:
    first.behaviour = hangs
    await router.add_job(first.url)
    entry = router.router._table.get("job-1")
    assert entry is not None
    object.__setattr__(entry, "request_timeout_seconds", 0.1)  # the record holds whole seconds
    got = await router.chat()
    assert (got.status, got.error["code"]) == (504, "request_timeout")
    assert got.headers["x-should-retry"] == "false"
    async with asyncio.timeout(1):
        await first.gone.wait()


async def test_a_client_that_hangs_up_ends_the_work(router: Harness, first: Replica) -> None:
    first.behaviour = hangs
    await router.add_job(first.url)
    request = asyncio.create_task(router.chat())
    await eventually(lambda: len(first.seen) == 1)
    request.cancel()
    async with asyncio.timeout(1):
        await first.gone.wait()
    await eventually(lambda: router.figure("hostler_router_client_disconnects_total") == 1)
    await eventually(lambda: len(router.request_lines()) == 1)
    assert router.request_lines()[0]["outcome"] == "client_gone"
    window = (await router.windows())[-1]
    assert (window.arrivals, window.completed, window.failed, window.in_flight) == (1, 0, 0, 0)


async def test_an_answer_too_large_to_hold_is_passed_on(first: Replica) -> None:
    large = {"data": "x" * 300_000}
    first.behaviour = answers_with(200, large)
    async with running_router(answer_bytes_max=1000) as router:
        await router.add_job(first.url)
        got = await router.chat()
        assert (got.status, got.json) == (200, large)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_breaks_while_it_is_passed_on_breaks_visibly(
    first: Replica, second: Replica, stream: bool
) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        await response.write(b"[" + b"1," * 50_000)
        assert request.transport is not None
        await asyncio.sleep(0.01)
        request.transport.abort()
        return response

    first.behaviour = second.behaviour = breaks
    async with running_router(answer_bytes_max=1000) as router:
        await router.add_job(first.url, second.url, runtime="vllm")
        with pytest.raises(aiohttp.ClientPayloadError):
            await router.chat(stream=stream)
        assert len(first.seen) + len(second.seen) == 1
        assert router.request_lines()[0]["outcome"] == "broken"


async def test_the_log_has_one_line_per_request_and_nothing_of_its_content(
    router: Harness, first: Replica
) -> None:
    await router.add_job(first.url)
    await router.chat(user="canary-in-body")
    (line,) = router.request_lines()
    assert line["job"] == "job-1"
    assert line["replica"] == "job-1-r1"
    assert (line["status"], line["outcome"], line["route"]) == (200, "answered", "/v1/chat/completions")
    assert isinstance(line["ms"], float)
    everything = json.dumps(router.log_lines, default=str)
    assert "canary-in-body" not in everything
    assert ALICE_KEY not in everything
    assert "hsr_" not in everything
