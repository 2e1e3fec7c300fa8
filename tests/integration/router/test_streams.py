"""Streams: they end with [DONE] or with one error event, and never in between."""

import asyncio
import json

import pytest

from tests.integration.router.harness import Harness, eventually, running_router
from tests.integration.router.replicas import Behaviour, Replica, resets, streams


async def test_a_stream_comes_through_without_the_usage_that_nobody_asked_for(
    router: Harness, first: Replica
) -> None:
    await router.add_job(first.url)
    got = await router.chat(stream=True)
    assert got.status == 200
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.headers["x-request-id"]
    assert got.texts == ["t0 ", "t1 "]
    assert len(got.events) == 3
    assert got.events[-1] == "[DONE]"
    assert json.loads(first.seen[0].body)["stream_options"] == {"include_usage": True}


async def test_the_usage_comes_through_where_it_was_asked_for(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    got = await router.chat(stream=True, stream_options={"include_usage": True})
    *_, usage, done = got.events
    assert json.loads(usage)["usage"]["completion_tokens"] == 2
    assert done == "[DONE]"


@pytest.mark.parametrize("asked", [True, False])
async def test_usage_is_counted_whether_it_was_asked_for_or_not(
    router: Harness, first: Replica, asked: bool
) -> None:
    await router.add_job(first.url)
    await router.chat(stream=True, stream_options={"include_usage": asked})
    window = (await router.windows())[-1]
    assert (window.prompt_tokens, window.completion_tokens) == (3, 2)


@pytest.mark.parametrize(
    ("then", "code"),
    [
        pytest.param("reset", "replica_failed", id="reset within an event"),
        pytest.param("end", "replica_failed", id="closed without its end mark"),
        pytest.param("silence", "replica_stalled", id="fell silent"),
        pytest.param("error", "runtime_error", id="reported an error"),
    ],
)
async def test_a_stream_that_breaks_ends_with_one_error_event(
    router: Harness, first: Replica, second: Replica, then: str, code: str
) -> None:
    first.behaviour = second.behaviour = streams(2, then=then)
    await router.add_job(first.url, second.url)
    got = await router.chat(stream=True, said={"x-resume": "off"})
    assert got.status == 200
    assert got.texts == ["t0 ", "t1 "]
    *_, last = got.events
    assert len(got.events) == 3
    error = json.loads(last)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert len(first.seen) + len(second.seen) == 1, "an answer that had begun was begun again"
    assert router.figure("hostler_router_streams_broken_total", reason=code) == 1
    window = (await router.windows())[-1]
    assert (window.completed, window.failed) == (0, 1)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(resets(after_head=True), id="reset after a comment"),
        pytest.param(streams(0, then="end"), id="closed without an event"),
    ],
)
async def test_a_stream_that_breaks_before_its_first_event_is_begun_elsewhere(
    router: Harness, first: Replica, second: Replica, behaviour: Behaviour
) -> None:
    first.behaviour = behaviour
    await router.add_job(first.url, second.url)
    for _ in range(20):
        got = await router.chat(stream=True)
        assert (got.status, got.events[-1], got.texts) == (200, "[DONE]", ["t0 ", "t1 "])
    assert first.seen, "the broken replica was never asked, so this test shows nothing"


async def test_an_error_before_the_first_event_is_a_plain_error(router: Harness, first: Replica) -> None:
    first.behaviour = streams(0, then="error")
    await router.add_job(first.url)
    got = await router.chat(stream=True)
    assert (got.status, got.error["message"]) == (502, "out of memory")


async def test_the_first_event_is_not_held_to_the_stall_timeout(router: Harness, first: Replica) -> None:
    gate = asyncio.Event()
    first.behaviour = streams(0, gate=gate)
    await router.add_job(first.url)
    request = asyncio.create_task(router.chat(stream=True))
    await eventually(lambda: len(first.seen) == 1)
    await asyncio.sleep(0.2)
    await asyncio.sleep(0.1)
    assert not request.done()
    gate.set()
    assert (await request).events == ["[DONE]"]


async def test_events_reach_the_client_while_the_replica_is_still_at_work(first: Replica) -> None:
    gate = asyncio.Event()
    first.behaviour = streams(1, gate=gate)
    async with running_router() as router:
        await router.add_job(first.url)
        body = json.dumps({"model": "chat", "stream": True}).encode()
        async with router.client.post("/v1/chat/completions", data=body) as response:
            assert b"t0" in await response.content.readuntil(b"\n\n")
            gate.set()
            assert b"[DONE]" in await response.content.read()


async def test_a_client_that_hangs_up_ends_the_work(first: Replica) -> None:
    first.behaviour = streams(1, then="silence")
    async with running_router() as router:
        await router.add_job(first.url)
        body = json.dumps({"model": "chat", "stream": True}).encode()
        response = await router.client.post("/v1/chat/completions", data=body)
        await response.content.readuntil(b"\n\n")
        assert router.figure("hostler_router_in_flight", job="job-1") == 1
        response.close()
        async with asyncio.timeout(1):
            await first.gone.wait()
        await eventually(lambda: router.figure("hostler_router_in_flight", job="job-1") == 0)
        assert router.figure("hostler_router_client_disconnects_total") == 1
        window = (await router.windows())[-1]
        assert (window.arrivals, window.completed, window.failed) == (1, 0, 0)


async def test_a_stream_that_outlasts_the_job_ends_with_an_error_event(first: Replica) -> None:
    first.behaviour = streams(1, then="silence")
    async with running_router() as router:
        await router.add_job(first.url)
        entry = router.router._table.get("job-1")
        assert entry is not None
        object.__setattr__(entry, "request_timeout_seconds", 0.15)  # the record holds whole seconds
        got = await router.chat(stream=True)
        assert got.texts == ["t0 "]
        assert json.loads(got.events[-1])["error"]["code"] == "request_timeout"


async def test_the_first_token_is_timed(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    await router.chat(stream=True)
    await router.chat()
    window = (await router.windows())[-1]
    assert sum(window.first_token_ms.values()) == 1
    assert sum(window.latency_ms.values()) == window.completed == 2
    assert router.figure("hostler_router_first_token_seconds_count") == 1
