"""What clients of OpenAI's interface rely on, row by row, most of it through the stock client: bodies, errors, headers, and the ends of streams.

`test_openai_client.py` has the plain course of things, `test_streams.py` and `test_plain_answers.py` what lies behind it. Here a replica sends raw bytes, so
that it may be any runtime in any state, and cut at any byte.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
import pytest

from tests.faults.callers import Callers, End, Heard, judge
from tests.integration.router.harness import ALICE_KEY, READER_KEY, Harness, running_router
from tests.integration.router.raw_replica import (
    Leave,
    RawReplica,
    chunked,
    document,
    raw_replica,
    until_close,
)
from tests.integration.router.replicas import ANSWER
from tests.integration.router.test_openai_client import MESSAGES, ask, client

ERROR_KEYS = {"message", "type", "param", "code"}
NO_RESUME = {"X-Resume": "off"}


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def chunk(text: str, **fields: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [choice], **fields})


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
USAGE_EVENT = event(
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [], "usage": USAGE}
)
DONE = b"data: [DONE]\n\n"
STREAM = [chunk("one "), chunk("two"), USAGE_EVENT, DONE]


@pytest.fixture
async def raw() -> AsyncIterator[RawReplica]:
    async with raw_replica() as replica:
        yield replica


@pytest.fixture
async def callers(router: Harness, raw: RawReplica) -> Callers:
    await router.add_job(raw.url)
    return Callers(router.url, ALICE_KEY, "chat")


# Errors


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            b'{"object":"error","message":"M","type":"BadRequestError","param":null,"code":400}',
            "M",
            id="vllm of old",
        ),
        pytest.param(
            b'{"error":{"message":"M","type":"BadRequestError","param":null,"code":400}}', "M", id="vllm"
        ),
        pytest.param(
            b'{"error":{"code":400,"message":"M","type":"invalid_request_error"}}', "M", id="llama.cpp"
        ),
        pytest.param(b'{"error":"M","error_type":"validation"}', "M", id="text generation inference"),
        pytest.param(b'{"detail":"M"}', "M", id="fastapi"),
        pytest.param(
            b'{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]}',
            "Field required",
            id="fastapi's validation",
        ),
        pytest.param(b'{"message":"M"}', "M", id="a message alone"),
        pytest.param(b"M", "M", id="text"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"<html><h1>M</h1></html>", "", id="a page"),
        pytest.param(b'{"error":{"message":"M"', "", id="half a document"),
        pytest.param(b"\xff\xfe", "", id="no text at all"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_an_error_of_any_runtime_has_one_shape(
    router: Harness, raw: RawReplica, body: bytes, message: str, stream: bool
) -> None:
    raw.pieces = [document(body, b"400 Bad Request")]
    await router.add_job(raw.url)
    async with client(router) as made:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(made, stream=stream)
    error = caught.value
    assert isinstance(error.body, dict)
    assert set(error.body) == ERROR_KEYS
    assert message in error.body["message"]
    assert error.body["message"], "an error without a word"
    assert error.body["type"] == "invalid_request_error"
    assert error.code is None or isinstance(error.code, str)
    assert error.request_id
    assert error.response.headers["x-should-retry"] == "false"
    assert error.response.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (b"404 Not Found", openai.NotFoundError),
        (b"422 Unprocessable", openai.UnprocessableEntityError),
        (b"429 Too Many", openai.RateLimitError),
        (b"500 Oops", openai.InternalServerError),
        (b"503 Loading", openai.InternalServerError),
        (b"599 What", openai.InternalServerError),
    ],
    ids=lambda value: value.decode()[:3] if isinstance(value, bytes) else "",
)
async def test_every_error_says_by_what_name_to_ask_about_it_and_whether_to_try_again(
    router: Harness, raw: RawReplica, status: bytes, raised: type[openai.APIStatusError]
) -> None:
    raw.pieces = [document(b'{"error": {"message": "M", "code": 7}}', status)]
    await router.add_job(raw.url)
    async with client(router) as made:
        with pytest.raises(raised) as caught:
            await ask(made, extra_headers={"X-Request-Id": "mine-1"})
    assert caught.value.request_id == "mine-1"
    assert caught.value.response.headers["x-should-retry"] in ("true", "false")
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == ERROR_KEYS


@pytest.mark.parametrize(
    ("method", "path", "key", "body", "status"),
    [
        pytest.param("POST", "/v1/chat/completions", "", b"{}", 401, id="no key"),
        pytest.param("POST", "/v1/chat/completions", "hsk_x", b"{}", 401, id="a bad key"),
        pytest.param("POST", "/v1/chat/completions", READER_KEY, b'{"model": "chat"}', 403, id="scope"),
        pytest.param("POST", "/v1/chat/completions", ALICE_KEY, b'{"model": "x"}', 404, id="no such model"),
        pytest.param("POST", "/v1/chat/completions", ALICE_KEY, b"{", 400, id="no document"),
        pytest.param("POST", "/v1/nothing", ALICE_KEY, b"{}", 404, id="no such route"),
        pytest.param("GET", "/v1/chat/completions", ALICE_KEY, b"", 405, id="method"),
        pytest.param("GET", "/v1/models/x", ALICE_KEY, b"", 404, id="no such model to see"),
        pytest.param("GET", "/v1/models", "", b"", 401, id="models without a key"),
        pytest.param("POST", "/v1/chat/completions", ALICE_KEY, b'{"model": "asleep"}', 503, id="no replica"),
    ],
)
async def test_every_refusal_has_an_id_and_an_answer_to_another_try(
    router: Harness, method: str, path: str, key: str, body: bytes, status: int
) -> None:
    await router.add_job()
    await router.add_job(job_id="job-2", name="asleep")
    headers = {"authorization": f"Bearer {key}" if key else "", "x-request-id": "mine-2"}
    response = await router.client.request(method, path, data=body or None, headers=headers)
    error = (await response.json())["error"]
    assert (response.status, set(error)) == (status, ERROR_KEYS)
    assert response.headers["x-request-id"] == "mine-2"
    assert response.headers["x-should-retry"] == ("true" if status == 503 else "false")
    assert status != 409, "the stock client tries that again"


# Headers


async def test_every_answer_has_an_id_of_its_own(callers: Callers, router: Harness, raw: RawReplica) -> None:
    raw.leave = Leave.STAY
    ids = set()
    async with client(router) as made:
        for number in range(6):
            raw.pieces = [document(json.dumps(ANSWER).encode()) if number % 2 else chunked(STREAM)]
            answer = await made.chat.completions.with_raw_response.create(  # type: ignore[call-overload]  # plain dicts
                model="chat", messages=MESSAGES, stream=not number % 2
            )
            ids.add(answer.headers["x-request-id"])
            if number % 2:
                assert answer.parse()._request_id == answer.headers["x-request-id"]
            else:
                assert [each async for each in answer.parse()]
        listed = await made.models.with_raw_response.list()
        ids.add(listed.headers["x-request-id"])
    assert len(ids) == 7


# Bodies on their way in

ODD = (
    b'{ "messages" : [{"role":"user","content":"h\\u00e9 \\ud83d\\ude00 \\"model\\": 1"}],\n\t"model":"chat",'
    b'"temperature":1.0,"top_p":1e-400,"seed":-0,"big":123456789012345678901234567890,"ignore_eos":true,'
    b'"nested":{"stream":true,"model":"other","list":[1.50,{}]},"x_null":null,"continuous_usage_stats" : false }'
)


async def test_a_body_that_nobody_must_change_travels_byte_for_byte(
    callers: Callers, raw: RawReplica
) -> None:
    raw.pieces = [document(json.dumps(ANSWER).encode())]
    raw.leave = Leave.STAY
    assert (await post(callers, ODD)).status == 200
    asked = ODD[:-1] + b', "stream":true,"stream_options":{"include_usage":true,"other":1.0} }'
    raw.pieces = [chunked(STREAM)]
    assert (await post(callers, asked)).status == 200
    assert raw.bodies == [ODD, asked]


@pytest.mark.parametrize(
    ("tail", "options"),
    [
        pytest.param(b', "stream":true }', {"include_usage": True}, id="no options"),
        pytest.param(
            b', "stream":true,"stream_options":{"a":1.0}}', {"a": 1.0, "include_usage": True}, id="others"
        ),
        pytest.param(
            b', "stream":true,"stream_options":{"include_usage":false}}', {"include_usage": True}, id="no"
        ),
        pytest.param(b', "stream":true,"stream_options":null}', {"include_usage": True}, id="null"),
        pytest.param(b', "stream":true,"stream_options":{}}', {"include_usage": True}, id="empty"),
    ],
)
async def test_asking_for_usage_changes_nothing_else_in_the_body(
    callers: Callers, raw: RawReplica, tail: bytes, options: dict[str, object]
) -> None:
    raw.pieces = [chunked(STREAM)]
    body = ODD[:-1] + tail
    assert (await post(callers, body)).status == 200
    (sent,) = raw.bodies
    expected = {**json.loads(body), "stream_options": options}
    assert json.loads(sent) == expected
    assert ODD[1:-1].strip() in sent, "it was written anew, with other numbers and other letters"


async def post(callers: Callers, body: bytes) -> Heard:
    """Send a body as it is."""
    call = await callers.open_raw(
        body, stream=b'"stream":true' in body.replace(b'"nested":{"stream":true', b"")
    )
    return await call.heard


# Bodies on their way out


async def test_events_come_as_they_were_written_and_bring_no_null(callers: Callers, raw: RawReplica) -> None:
    odd = [
        b'data: {"choices":[{"index":0,"delta":{"content":"h\\u00e9 "},"logprobs":null}],"created":1.0}\n\n',
        b'data: { "choices" : [ {"delta":{"content":"\xc3\xa9"}, "index":0} ], "x_unknown": [1e400] }\n\n',
    ]
    raw.pieces = [chunked([*odd, USAGE_EVENT, DONE])]
    plain = await callers.ask()
    assert plain.body == b"".join([*odd, DONE])
    asked = await callers.ask(stream_options={"include_usage": True})
    assert asked.body == b"".join([*odd, USAGE_EVENT, DONE])


async def test_usage_within_the_last_words_is_left_where_it_was_not_asked_for_alone(
    callers: Callers, raw: RawReplica
) -> None:
    both = chunk("two", usage=USAGE)
    raw.pieces = [chunked([chunk("one "), both, DONE])]
    heard = await callers.ask()
    assert (heard.end, heard.text) == (End.DONE, "one two"), "an event with words in it was taken out"


@pytest.mark.parametrize("asked", [True, False])
async def test_the_stock_client_reads_usage_only_where_it_asked(
    callers: Callers, router: Harness, raw: RawReplica, asked: bool
) -> None:
    raw.pieces = [chunked(STREAM)]
    options = {"stream_options": {"include_usage": True}} if asked else {}
    async with client(router) as made:
        stream = await made.chat.completions.create(  # type: ignore[call-overload]  # plain dicts
            model="chat", messages=MESSAGES, stream=True, **options
        )
        chunks = [each async for each in stream]
    assert [each.usage is not None for each in chunks] == ([False, False, True] if asked else [False, False])
    if asked:
        assert chunks[-1].choices == []


# Framing


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([b": ping\n\n", *STREAM], id="a comment first"),
        pytest.param([STREAM[0], b": ping\n\n", b":\n\n", *STREAM[1:]], id="comments between"),
        pytest.param([each.replace(b"\n", b"\r\n") for each in STREAM], id="other line ends"),
        pytest.param([each.replace(b"data: ", b"data:") for each in STREAM], id="no blank"),
        pytest.param([b"event: message\nid: 7\n" + each for each in STREAM], id="more fields"),
        pytest.param([b": hello\n" + each for each in STREAM], id="comments within"),
        pytest.param([b"".join(STREAM)], id="all in one"),
    ],
)
async def test_the_stock_client_reads_streams_however_they_are_framed(
    callers: Callers, router: Harness, raw: RawReplica, events: list[bytes]
) -> None:
    raw.pieces = [chunked(events)]
    async with client(router) as made:
        stream = await made.chat.completions.create(  # type: ignore[call-overload]  # plain dicts
            model="chat", messages=MESSAGES, stream=True
        )
        texts = [each.choices[0].delta.content async for each in stream if each.choices]
    assert texts == ["one ", "two"]


async def test_a_stream_that_comes_byte_by_byte_leaves_whole(callers: Callers, raw: RawReplica) -> None:
    whole = chunked(STREAM)
    raw.pieces = [whole[number : number + 1] for number in range(len(whole))]
    heard = await callers.ask(stream_options={"include_usage": True})
    assert heard.body == b"".join(STREAM)


# Ends


@pytest.mark.parametrize("leave", [Leave.FIN, Leave.RST])
@pytest.mark.parametrize("framed", [chunked, until_close], ids=["chunked", "until close"])
async def test_a_stream_cut_at_any_byte_ends_with_its_mark_one_error_or_a_break(
    callers: Callers, raw: RawReplica, framed: object, leave: Leave
) -> None:
    events = [b": ping\n\n", *STREAM]
    whole: bytes = framed(events)  # type: ignore[operator]  # one of the two
    marked = whole.index(DONE.strip()) + len(DONE.strip())
    raw.leave = leave
    found: dict[End, list[int]] = {}
    for kept in range(len(whole)):
        raw.pieces = [whole[:kept]] if kept else []
        heard = await callers.ask(headers=NO_RESUME)
        found.setdefault(heard.end, []).append(kept)
        assert "one two".startswith(heard.text)
    print(f"{leave} of {len(whole)} bytes: { {str(end): len(cuts) for end, cuts in found.items()} }")
    assert found.get(End.TRUNCATED, []) == []
    assert all(kept >= marked for kept in found.get(End.DONE, [])), "a cut stream was called whole"
    assert found[End.ERROR], "no cut was within the events, so this test shows nothing"


@pytest.mark.parametrize("leave", [Leave.FIN, Leave.RST])
async def test_a_document_cut_at_any_byte_is_an_error(
    callers: Callers, raw: RawReplica, leave: Leave
) -> None:
    whole = document(json.dumps(ANSWER).encode())
    raw.leave = leave
    for kept in range(len(whole)):
        raw.pieces = [whole[:kept]] if kept else []
        heard = await callers.ask(stream=False)
        assert (kept, heard.end, heard.status) == (kept, End.REFUSED, 502)


@pytest.mark.parametrize(
    ("reported", "message"),
    [
        pytest.param(b'{"error": {"message": "M", "code": 500, "type": "X"}}', "M", id="vllm"),
        pytest.param(b'{"error": "M"}', "M", id="a word"),
        pytest.param(b'{"object": "error", "message": "M", "code": 500}', "M", id="vllm of old"),
    ],
)
@pytest.mark.parametrize("mark", [DONE, b""], ids=["and its mark", "and no mark"])
async def test_an_error_within_a_stream_is_one_event_that_the_stock_client_can_read(
    callers: Callers, router: Harness, raw: RawReplica, reported: bytes, message: str, mark: bytes
) -> None:
    raw.pieces = [chunked([STREAM[0], b"data: " + reported + b"\n\n", *([mark] if mark else [])])]
    heard = await callers.ask(headers=NO_RESUME)
    assert (heard.end, heard.text) == (End.ERROR, "one ")
    assert set(heard.error) == ERROR_KEYS
    assert message in str(heard.error["message"])
    async with client(router, default_headers=NO_RESUME) as made:
        stream = aiter(await made.chat.completions.create(model="chat", messages=MESSAGES, stream=True))  # type: ignore[call-overload]  # plain dicts
        await anext(stream)
        with pytest.raises(openai.APIError) as caught:
            await anext(stream)
    assert message in caught.value.message
    assert isinstance(caught.value.code, str)


async def test_nothing_comes_after_the_end_mark(callers: Callers, raw: RawReplica) -> None:
    raw.pieces = [chunked([*STREAM, chunk("more"), DONE])]
    heard = await callers.ask()
    assert (heard.end, heard.text) == (End.DONE, "one two")


# Names of models


@pytest.mark.parametrize("name", ["org/tiny-1.5", "job-1", "alice/chat"])
async def test_names_with_slashes_are_names(router: Harness, raw: RawReplica, name: str) -> None:
    raw.pieces = [document(json.dumps(ANSWER).encode())]
    await router.add_job(raw.url, model="org/tiny-1.5")
    async with client(router) as made:
        assert (await ask(made, model=name)).choices[0].message.content == "Hello there."  # type: ignore[attr-defined]  # an answer
        assert (await made.models.retrieve(name)).id == "job-1"
    for path in (f"/v1/models/{name}", f"/v1/models/{name.replace('/', '%2F')}"):
        response = await router.client.get(path)
        assert (response.status, (await response.json())["object"]) == (200, "model")


async def test_a_list_of_models_has_the_keys_that_clients_read(router: Harness) -> None:
    await router.add_job()
    async with client(router) as made:
        (model,) = [each async for each in made.models.list()]
    assert (model.object, model.owned_by) == ("model", "alice")
    assert model.created > 0


# Trying again


async def test_the_stock_client_comes_back_when_it_is_told_to(raw: RawReplica) -> None:
    """A 429 with its `retry-after-ms` or `retry-after`, and then an answer."""
    async with running_router() as router:
        await router.add_job(raw.url)
        raw.leave = Leave.STAY
        raw.pieces = [document(b'{"error": {"message": "M"}}', b"429 Too Many\r\nRetry-After: 1")]
        async with client(router, max_retries=1) as made:
            asking = asyncio.create_task(ask(made))
            while not raw.bodies:  # noqa: ASYNC110  # what is waited for tells nobody
                await asyncio.sleep(0.01)
            began = asyncio.get_running_loop().time()
            raw.pieces = [document(json.dumps(ANSWER).encode())]
            await asking
            waited = asyncio.get_running_loop().time() - began
    assert len(raw.bodies) == 2
    assert waited > 0.7, "the runtime's wish for a pause did not come through"


def test_the_judge_of_these_tests_can_say_no() -> None:
    assert judge(200, b"".join(STREAM[:-1]), whole=True, stream=True).end is End.TRUNCATED
