"""The stock client gets what it expects: answers, streams, and the right exceptions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.integration.router.harness import ALICE_KEY, READER_KEY, Harness
from tests.integration.router.replicas import Replica, answers_with, resets, streams

MESSAGES = [{"role": "user", "content": "hi"}]


@asynccontextmanager
async def client(router: Harness, key: str = ALICE_KEY, **options: object) -> AsyncIterator[AsyncOpenAI]:
    options = {"max_retries": 0, **options}
    async with AsyncOpenAI(base_url=f"{router.url}/v1", api_key=key, **options) as made:  # type: ignore[arg-type]  # a test's own
        yield made


async def ask(made: AsyncOpenAI, **fields: object) -> object:
    arguments = {"model": "chat", "messages": MESSAGES, **fields}
    return await made.chat.completions.create(**arguments)  # type: ignore[call-overload]  # a test's own


async def test_a_completion(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    async with client(router) as made:
        answer = await made.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}]
        )
    assert answer.choices[0].message.content == "Hello there."
    assert answer._request_id


async def test_a_stream(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    async with client(router) as made:
        stream = await made.chat.completions.create(
            model="chat",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "t0 t1 "
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2


async def test_the_list_of_models(router: Harness) -> None:
    await router.add_job()
    async with client(router) as made:
        assert [model.id async for model in made.models.list()] == ["job-1"]
        assert (await made.models.retrieve("alice/chat")).id == "job-1"


@pytest.mark.parametrize(
    ("key", "model", "raised", "code"),
    [
        pytest.param("hsk_nonsense", "chat", openai.AuthenticationError, "invalid_api_key", id="401"),
        pytest.param(READER_KEY, "chat", openai.PermissionDeniedError, "insufficient_scope", id="403"),
        pytest.param(ALICE_KEY, "nope", openai.NotFoundError, "model_not_found", id="404"),
        pytest.param(ALICE_KEY, "asleep", openai.InternalServerError, "no_ready_replica", id="503"),
        pytest.param(ALICE_KEY, "", openai.BadRequestError, "invalid_value", id="400"),
    ],
)
async def test_errors_are_the_clients_own(
    router: Harness, first: Replica, key: str, model: str, raised: type[openai.APIStatusError], code: str
) -> None:
    await router.add_job(first.url)
    await router.add_job(job_id="job-2", name="asleep", model="org/other")
    async with client(router, key) as made:
        with pytest.raises(raised) as caught:
            await ask(made, model=model)
    assert caught.value.code == code
    assert caught.value.request_id


async def test_a_stream_that_breaks_raises_with_its_code(router: Harness, first: Replica) -> None:
    first.behaviour = streams(1, then="end")
    await router.add_job(first.url)
    async with client(router) as made:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
        stream = aiter(await made.chat.completions.create(model="chat", messages=messages, stream=True))
        await anext(stream)
        with pytest.raises(openai.APIError) as caught:
            await anext(stream)
    assert caught.value.code == "replica_failed"


@pytest.mark.parametrize(
    ("behaviour", "tries"),
    [
        pytest.param(
            answers_with(400, {"error": {"message": "no"}}), 1, id="a bad request is not tried again"
        ),
        pytest.param(answers_with(504, {}), 1, id="nor is a timeout"),
        pytest.param(resets(), 2, id="a replica that failed is"),
    ],
)
async def test_the_client_tries_again_only_what_is_worth_it(
    router: Harness, first: Replica, behaviour: object, tries: int
) -> None:
    first.behaviour = behaviour  # type: ignore[assignment]  # a behaviour, by the table
    await router.add_job(first.url)
    async with client(router, max_retries=1) as made:
        with pytest.raises(openai.APIStatusError):
            await ask(made)
    assert len(first.seen) == tries
