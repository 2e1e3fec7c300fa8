"""A replica dies in the middle of a stream: another one goes on, where that is sound, and the client sees one stream."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from hostler_domain.routing import Routing
from tests.integration.router.harness import Harness, eventually, running_router
from tests.integration.router.replicas import Behaviour, Replica, chunk, event, replica, streams

WORDS = ("One ", "two ", "three ", "four ", "five ", "six ")
TEXT = "".join(WORDS)


def counts(deaths: list[int]) -> Behaviour:
    """Says the words, or goes on with them; dies after as many as the next number says, and never once they are used up."""

    async def behave(request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        last = asked["messages"][-1]
        said = last["content"] if last["role"] == "assistant" else ""
        begun = len(said.split())
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        dies_after = deaths.pop(0) if deaths else None
        rest = list(WORDS[begun:])
        if said and not said.endswith(" "):
            rest.insert(0, " ")  # what templates cut off the end is said again
        for number, word in enumerate(rest):
            if number == dies_after:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(chunk(word))
        usage = {"prompt_tokens": 10 + begun, "completion_tokens": len(WORDS) - begun}
        await response.write(
            event({"id": "other", "object": "chat.completion.chunk", "choices": [], "usage": usage})
        )
        await response.write(b"data: [DONE]\n\n")
        return response

    return behave


@pytest.fixture
async def third() -> AsyncIterator[Replica]:
    async with replica() as started:
        yield started


def events_of(body: bytes) -> list[str]:
    *events, rest = body.decode().split("\n\n")
    assert rest == ""
    return events


def text_of(events: list[str]) -> str:
    said = [json.loads(each[6:]) for each in events if each.startswith("data: {")]
    return "".join(each["choices"][0]["delta"]["content"] for each in said if each.get("choices"))


@pytest.mark.parametrize(
    "deaths", [pytest.param([3], id="one death"), pytest.param([2, 3], id="and another")]
)
async def test_the_client_sees_one_stream(
    router: Harness, first: Replica, second: Replica, third: Replica, deaths: list[int]
) -> None:
    died = len(deaths)
    first.behaviour = second.behaviour = third.behaviour = counts(deaths)
    await router.add_job(first.url, second.url, third.url)
    got = await router.chat(stream=True, stream_options={"include_usage": True})
    events = events_of(got.body)
    assert text_of(events) == TEXT
    assert events[-2:] == [": resumed", "data: [DONE]"]
    assert sum(each.startswith(":") for each in events) == 1
    assert not any('"error"' in each for each in events)
    usage = json.loads(events[-3][6:])["usage"]
    assert usage["completion_tokens"] == len(WORDS)
    assert {json.loads(each[6:])["id"] for each in events[:-2]} == {"c"}, "one answer has one id"
    ((_, record),) = await router.usage()
    assert (record.resumed, record.measured, record.outcome) == (True, False, "answered")
    assert (record.prompt_tokens, record.completion_tokens) == (10, len(WORDS))
    assert router.figure("hostler_router_resumed_total", job="job-1") == died
    assert sum(each.seen != [] for each in (first, second, third)) == died + 1


async def test_a_third_death_is_one_too_many(
    router: Harness, first: Replica, second: Replica, third: Replica
) -> None:
    first.behaviour = second.behaviour = third.behaviour = counts([1, 1, 1])
    await router.add_job(first.url, second.url, third.url)
    got = await router.chat(stream=True)
    *events, last = events_of(got.body)
    assert json.loads(last[6:])["error"]["code"] == "replica_failed"
    assert TEXT.startswith(text_of(events))
    assert not any("[DONE]" in each for each in events)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("fields", "said", "routing"),
    [
        pytest.param({}, {"x-resume": "off"}, Routing(), id="the client does not want it"),
        pytest.param({}, {}, Routing(resume_streams=False), id="the job's owner does not"),
        pytest.param({"tools": [TOOL]}, {}, Routing(), id="tools"),
        pytest.param({"n": 2}, {}, Routing(), id="two answers"),
        pytest.param({"response_format": {"type": "json_object"}}, {}, Routing(), id="an answer with a form"),
    ],
)
async def test_where_it_is_not_sound_the_stream_ends_with_one_error_event(
    router: Harness,
    first: Replica,
    second: Replica,
    fields: dict[str, object],
    said: dict[str, str],
    routing: Routing,
) -> None:
    first.behaviour = second.behaviour = counts([3])
    await router.add_job(first.url, second.url, routing=routing)
    got = await router.chat(stream=True, said=said, **fields)
    *events, last = events_of(got.body)
    assert text_of(events) == "One two three "
    assert json.loads(last[6:])["error"]["code"] == "replica_failed"
    assert len(first.seen) + len(second.seen) == 1
    ((_, record),) = await router.usage()
    assert (record.resumed, record.measured, record.aborted, record.outcome) == (False, False, True, "broken")
    assert record.completion_tokens == 3


async def test_a_replica_that_falls_silent_is_gone_on_from_too(
    router: Harness, first: Replica, second: Replica
) -> None:
    silent, alive = streams(1, then="silence"), counts([])
    asked = 0

    async def behave(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await (silent if asked == 1 else alive)(request)

    first.behaviour = second.behaviour = behave
    await router.add_job(first.url, second.url)
    got = await router.chat(stream=True)
    events = events_of(got.body)
    assert events[-2:] == [": resumed", "data: [DONE]"]
    assert text_of(events).startswith("t0 ")
    assert router.figure("hostler_router_ejections_total", job="job-1", reason="stall") == 1


async def test_who_hangs_up_after_a_death_leaves_nothing(first: Replica, second: Replica) -> None:
    goes_on = counts([2])
    calls = 0

    async def behave(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return await (goes_on if calls == 1 else streams(1, then="silence"))(request)

    first.behaviour = second.behaviour = behave
    async with running_router() as router:
        await router.add_job(first.url, second.url)
        body = json.dumps(
            {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "count"}]}
        ).encode()
        response = await router.client.post("/v1/chat/completions", data=body)
        await response.content.readuntil(b"t0 ")
        response.close()
        await eventually(lambda: not any(router.router._outstanding.counts.values()))
        ((_, record),) = await router.usage()
        assert (record.outcome, record.resumed, record.aborted) == ("client_gone", True, True)
