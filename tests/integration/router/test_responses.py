"""The newer routes: responses, whose streams end in their own way, and those that a job must allow."""

import asyncio
import json

import pytest
from aiohttp import web

from hostler_domain.routing import Routing
from tests.integration.router.harness import Harness, running_router
from tests.integration.router.replicas import Behaviour, Replica, answers_with
from tests.integration.router.test_openai_client import client

PATH = "/v1/responses"
USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 13,
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "tiny",
    "status": "completed",
    "output": [],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
    "usage": USAGE,
}


def named_event(kind: str, number: int, **fields: object) -> bytes:
    payload = {"type": kind, "sequence_number": number, **fields}
    return f"event: {kind}\ndata: {json.dumps(payload)}\n\n".encode()


def delta(number: int, text: str) -> bytes:
    fields = {"item_id": "m", "output_index": 0, "content_index": 0, "delta": text, "logprobs": []}
    return named_event("response.output_text.delta", number, **fields)


def responds(*events: bytes, then: str = "end") -> Behaviour:
    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for each in events:
            await response.write(each[:20])
            await response.write(each[20:])
        if then == "reset":
            await asyncio.sleep(0.01)
            assert request.transport is not None
            request.transport.abort()
        elif then == "silence":
            await asyncio.Event().wait()
        return response

    return behave


BEGUN = named_event("response.created", 0, response={**RESPONSE, "status": "in_progress", "usage": None})
SAID = (BEGUN, delta(1, "Hi"), delta(2, ' "error" there'))


async def ask(router: Harness, **fields: object) -> tuple[int, bytes]:
    body = json.dumps({"model": "chat", "input": "hi", **fields}).encode()
    got = await router.post(PATH, body)
    return got.status, got.body


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n"])
async def test_a_stream_of_responses_ends_with_its_own_last_event(
    router: Harness, first: Replica, kind: str, tail: bytes
) -> None:
    last = named_event(f"response.{kind}", 3, response={**RESPONSE, "status": kind})
    first.behaviour = responds(*SAID, last, tail)
    await router.add_job(first.url)
    status, body = await ask(router, stream=True)
    assert status == 200
    assert body == b"".join((*SAID, last))
    assert json.loads(first.seen[0].body) == {"model": "chat", "input": "hi", "stream": True}
    ((_, record),) = await router.usage()
    assert (record.outcome, record.measured) == ("answered", True)
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (11, 2, 4)


@pytest.mark.parametrize(
    ("then", "code"),
    [("end", "replica_failed"), ("reset", "replica_failed"), ("silence", "replica_stalled")],
)
async def test_one_that_breaks_ends_with_an_error_of_its_own_shape(
    router: Harness, first: Replica, then: str, code: str
) -> None:
    first.behaviour = responds(*SAID, then=then)
    await router.add_job(first.url)
    status, body = await ask(router, stream=True)
    assert status == 200
    assert body.startswith(b"".join(SAID))
    name, data, *_ = body.removeprefix(b"".join(SAID)).split(b"\n")
    assert name == b"event: error"
    error = json.loads(data.removeprefix(b"data: "))
    assert error.pop("message")
    assert error == {"type": "error", "sequence_number": 3, "code": code, "param": None}
    ((_, record),) = await router.usage()
    assert (record.outcome, record.measured, record.completion_tokens) == ("broken", False, 2)


async def test_an_error_of_the_runtime_keeps_its_words(router: Harness, first: Replica) -> None:
    first.behaviour = responds(
        BEGUN, named_event("error", 1, code="out_of_memory", message="no room", param=None)
    )
    await router.add_job(first.url)
    _, body = await ask(router, stream=True)
    assert body.count(b"event: error\n") == 1
    assert b'"no room"' in body
    assert b'"out_of_memory"' in body


async def test_the_stock_client_reads_both_ends(router: Harness, first: Replica) -> None:
    last = named_event("response.completed", 3, response=RESPONSE)
    await router.add_job(first.url)
    async with client(router) as made:
        first.behaviour = responds(*SAID, last)
        stream = await made.responses.create(model="chat", input="hi", stream=True)
        kinds = [each.type async for each in stream]
        assert kinds[-1] == "response.completed"
        first.behaviour = responds(*SAID)
        stream = await made.responses.create(model="chat", input="hi", stream=True)
        *_, error = [each async for each in stream]
    assert error.type == "error"
    assert error.code == "replica_failed"


async def test_usage_of_an_answer_that_is_not_streamed_is_counted(router: Harness, first: Replica) -> None:
    first.behaviour = answers_with(200, RESPONSE)
    await router.add_job(first.url)
    assert (await ask(router))[0] == 200
    ((_, record),) = await router.usage()
    assert (record.prompt_tokens, record.completion_tokens, record.measured) == (11, 2, True)


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        ("/v1/rerank", "/v1/rerank"),
        ("/v1/score", "/v1/score"),
        ("/v1/tokenize", "/tokenize"),
        ("/v1/detokenize", "/detokenize"),
        ("/openai/v1/rerank", "/v1/rerank"),
    ],
)
async def test_what_a_job_must_allow_is_refused_until_it_does(
    router: Harness, first: Replica, path: str, upstream: str
) -> None:
    first.behaviour = answers_with(200, {"ok": True})
    await router.add_job(first.url)
    allowed = Routing(extra_routes=(path.rpartition("/")[2],))
    await router.add_job(first.url, job_id="job-2", name="open", routing=allowed)
    got = await router.post(path, json.dumps({"model": "chat"}).encode())
    assert (got.status, got.error["code"]) == (404, "route_not_allowed")
    assert first.seen == []
    got = await router.post(path, json.dumps({"model": "open"}).encode())
    assert got.status == 200
    assert first.seen[0].path == upstream


async def test_of_a_server_that_is_not_ours_nobody_knows_whether_it_has_responses(first: Replica) -> None:
    async with running_router() as router:
        await router.add_job(first.url, runtime="simulated")
        status, body = await ask(router)
        assert status == 404
        assert b"route_not_allowed" in body
