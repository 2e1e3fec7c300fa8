"""Requests that go straight to a replica on an open connection, and what becomes of those whose way turns out not to be straight."""

import asyncio
import json
from typing import NoReturn

import aiohttp
import pytest
from aiohttp import web

from hostler_domain.limits import Limits
from hostler_router import direct
from tests.integration.router.harness import ALICE_KEY, Harness, eventually, running_router
from tests.integration.router.replicas import (
    ANSWER,
    Behaviour,
    Replica,
    answers_with,
    hangs,
    resets,
    sends_half,
    streams,
    truncates,
)
from tests.integration.router.wire_client import BODY, request, wire_client
from tests.support.compiled import interpreted_only

JOB = "job-1"


async def says_so(_: web.Request) -> web.StreamResponse:
    """An answer as runtimes give it, without a charset."""
    return web.Response(body=json.dumps(ANSWER).encode(), content_type="application/json")


async def waits_then_says_so(asked: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.5)
    return await says_so(asked)


async def stalls(asked: web.Request) -> web.StreamResponse:
    """The half of an answer, and then nothing."""
    content = json.dumps(ANSWER).encode()
    answer = web.StreamResponse(
        headers={"content-type": "application/json", "content-length": str(len(content))}
    )
    await answer.prepare(asked)
    await answer.write(content[: len(content) // 2])
    return await hangs(asked)


async def warm(router: Harness, *replicas: Replica) -> None:
    """Have a connection open to each, on which the next request can go straight."""
    for each in replicas:
        each.behaviour = says_so
    await router.add_job(*(each.url for each in replicas))
    while not all(each.seen for each in replicas):
        assert (await router.chat()).status == 200
    for each in replicas:
        each.seen.clear()


async def nothing_is_left(router: Harness) -> None:
    """All places were given back."""
    assert await router.in_flight_on("job-1-r1") == 0
    await eventually(lambda: not len(router.router._running))


async def test_an_answer_is_metered_logged_and_counted(router: Harness, first: Replica) -> None:
    await warm(router, first)
    got = await router.chat(said={"x-request-id": "mine"})
    assert (got.status, got.json) == (200, ANSWER)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-request-id"] == "mine"
    _, record = (await router.usage())[-1]
    assert (record.request_id, record.prompt_tokens, record.completion_tokens) == ("mine", 3, 4)
    assert (record.status, record.measured, record.outcome) == (200, True, "answered")
    counts = [(each.arrivals, each.completed) for each in await router.windows()]
    assert (sum(each[0] for each in counts), sum(each[1] for each in counts)) == (2, 2)
    line = router.request_lines()[-1]
    assert (line["request_id"], line["status"], line["replica"], line["tries"]) == (
        "mine",
        200,
        "job-1-r1",
        1,
    )
    assert router.figure("hostler_router_requests_total", route="/v1/chat/completions", code="200") == 2
    await nothing_is_left(router)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answers_with(503, {"error": "busy"}), id="503"),
        pytest.param(resets(), id="reset"),
        pytest.param(truncates, id="cut off"),
        pytest.param(sends_half, id="half"),
        pytest.param(hangs, id="silent"),
        pytest.param(stalls, id="silent in the middle"),
    ],
)
async def test_what_fails_on_one_replica_is_done_by_another(
    first: Replica, second: Replica, behaviour: Behaviour
) -> None:
    async with running_router(stall_timeout_seconds=0.2, first_byte_timeout_seconds=0.2) as router:
        await warm(router, first, second)
        first.behaviour = behaviour
        for _ in range(30):
            got = await router.chat()
            assert (got.status, got.json) == (200, ANSWER)
            if first.seen:
                break
        assert first.seen, "the broken replica was never asked, so this test shows nothing"
        assert len(second.seen) > 0
        assert all(each.aborted is False for _, each in await router.usage())
        await nothing_is_left(router)


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        pytest.param(answers_with(400, {"error": {"message": "no", "code": "bad"}}), 400, "bad", id="400"),
        pytest.param(hangs, 504, None, id="silent"),
    ],
)
async def test_an_error_of_the_only_replica_is_told(
    first: Replica, behaviour: Behaviour, status: int, code: str | None
) -> None:
    async with running_router(stall_timeout_seconds=0.2, first_byte_timeout_seconds=0.2) as router:
        await warm(router, first)
        first.behaviour = behaviour
        got = await router.chat()
        assert got.status == status
        if code is not None:
            assert got.error["code"] == code
        await nothing_is_left(router)


async def test_a_stream_that_nobody_asked_for_is_passed_on_whole(router: Harness, first: Replica) -> None:
    await warm(router, first)
    first.behaviour = streams(2)
    got = await router.chat()
    assert (got.status, got.events[-1], got.texts) == (200, "[DONE]", ["t0 ", "t1 "])
    await nothing_is_left(router)


async def test_an_answer_that_takes_long_is_waited_for(first: Replica) -> None:
    async with running_router(stall_timeout_seconds=5.0, body_timeout_seconds=0.2) as router:
        await warm(router, first)
        first.behaviour = waits_then_says_so
        assert (await router.chat()).status == 200
        await nothing_is_left(router)


async def test_an_answer_too_large_to_be_held_back_passes(first: Replica) -> None:
    async with running_router(answer_bytes_max=1024) as router:
        await warm(router, first)
        content = json.dumps({**ANSWER, "more": "x" * 300_000}).encode()

        async def large(_: web.Request) -> web.StreamResponse:
            return web.Response(body=content, content_type="application/json")

        first.behaviour = large
        got = await router.chat()
        assert (got.status, got.body) == (200, content)
        await nothing_is_left(router)


async def test_the_replica_learns_that_the_client_has_gone(router: Harness, first: Replica) -> None:
    await warm(router, first)
    first.behaviour = hangs
    with pytest.raises(TimeoutError):
        await router.client.post("/v1/chat/completions", data=BODY, timeout=aiohttp.ClientTimeout(total=0.1))
    async with asyncio.timeout(1):
        await first.gone.wait()
    await eventually(lambda: router.figure("hostler_router_client_disconnects_total") == 1)
    await nothing_is_left(router)


async def test_a_body_in_pieces_is_put_together(router: Harness, first: Replica) -> None:
    await warm(router, first)
    sent = request()
    async with wire_client(router) as client:
        await client.send(sent[:-20])
        await asyncio.sleep(0.01)
        await client.send(sent[-20:])
        assert (await client.answer()).status == 200
    assert first.seen[-1].body == BODY


async def test_a_body_that_stops_coming_is_refused(first: Replica) -> None:
    async with running_router(body_timeout_seconds=0.2) as router:
        await warm(router, first)
        async with wire_client(router) as client:
            await client.send(request()[:-20])
            assert (await client.answer()).status == 408
        assert not first.seen


async def test_requests_with_the_same_head_one_after_another_are_told_apart(
    router: Harness, first: Replica
) -> None:
    await warm(router, first)
    async with wire_client(router) as client:
        for number, content in enumerate(("a", "b" * 500, "c")):
            body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": content}]}).encode()
            await client.send(request("/v1/chat/completions", body))
            assert (await client.answer(number)).status == 200
            assert first.seen[-1].body == body
        ids = {each.headers["x-request-id"][0] for each in client.answers}
    assert len(ids) == 3


async def test_a_key_that_is_revoked_holds_for_no_further_request_of_its_connection(
    router: Harness, first: Replica
) -> None:
    await warm(router, first)
    async with wire_client(router) as client:
        await client.send(request())
        assert (await client.answer(0)).status == 200
        await router.add_key(ALICE_KEY, "alice", "jobs:read", key_id="key-reader")
        await eventually(
            lambda: any(each.key_id == "key-reader" for each in router.router.keys.records.values())
        )
        await client.send(request())
        assert (await client.answer(1)).status == 403


async def test_limits_hold_and_are_told(router: Harness, first: Replica) -> None:
    await warm(router, first)
    await router.add_key(ALICE_KEY, "alice", "inference", limits=Limits(requests_per_minute=2))
    await eventually(lambda: any(each.limits for each in router.router.keys.records.values()))
    answers = [await router.chat() for _ in range(3)]
    assert [each.status for each in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
    assert answers[0].headers["content-type"] == "application/json"
    await nothing_is_left(router)


async def test_a_router_that_stops_waits_for_what_is_under_way_and_cuts_what_takes_too_long(
    first: Replica,
) -> None:
    async with running_router(drain_timeout_seconds=0.2, stall_timeout_seconds=30) as router:
        await warm(router, first)
        first.behaviour = hangs
        asked = asyncio.create_task(router.chat())
        await eventually(lambda: bool(first.seen))
        await router.stop_router()
        got = await asked
        assert got.status == 503


@interpreted_only
@pytest.mark.parametrize(
    "broken", ["read_request", "choose", "json_head", "read_usage_of", "record_of_answered"]
)
async def test_a_bug_looks_like_nothing_but_a_500(
    router: Harness, first: Replica, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    await warm(router, first)

    def bug(*_: object, **__: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(direct, broken, bug)
    if broken == "read_request":
        assert (await router.chat()).status == 200, "what goes the long way reads it again"
    else:
        got = await router.chat()
        assert (got.status, got.error["type"]) == (500, "server_error")
        assert any(line.get("event") == "request.bug" for line in router.log_lines)
    await nothing_is_left(router)
    monkeypatch.undo()
    assert (await router.chat()).status == 200
