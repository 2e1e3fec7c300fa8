"""Simulated replicas as processes: they serve at the pace, and fail in the way, that their arguments say."""

import asyncio

import aiohttp
import openai
import psutil
import pytest

from hostler_provisioner.backend import Step
from tests.integration.provisioner_local.local_site import KEY, launch, step_of

pytestmark = pytest.mark.integration

QUESTION = [{"role": "user", "content": "one two three"}]


def simulated(replica_id="r-1", **args):
    given = {"first_token_seconds": "0", "tokens_per_second": "1000", **args}
    return launch(replica_id, runtime="simulated", model="any/model", args=tuple(given.items()))


def client(url):
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=20)


async def ready(backend, wanted):
    await backend.start(wanted)
    seen, _ = await step_of(backend, wanted.replica_id, Step.READY, Step.GONE)
    assert seen.step is Step.READY, seen.detail
    return seen.endpoint_url


async def test_it_answers_as_the_stock_client_expects_and_says_that_it_is_simulated(site):
    url = await ready(site.backend(), simulated(completion_tokens="8"))
    async with client(url) as made:
        whole = await made.chat.completions.create(model="chat", messages=QUESTION, max_tokens=5)
        plain = await made.completions.create(model="chat", prompt="one two")
        stream = await made.chat.completions.create(
            model="chat", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        (model,) = (await made.models.list()).data

    assert (whole.system_fingerprint, whole.choices[0].finish_reason) == ("simulated", "length")
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, 5)
    assert (plain.usage.prompt_tokens, plain.choices[0].finish_reason) == (2, "stop")
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert len(text.split()) == 8 == chunks[-1].usage.completion_tokens
    assert model.id == "chat"


async def test_it_asks_for_its_key_and_shows_its_figures(site):
    url = await ready(site.backend(), simulated(completion_tokens="3"))
    async with client(url) as made, aiohttp.ClientSession() as session:
        await made.chat.completions.create(model="chat", messages=QUESTION)
        async with session.get(f"{url}/metrics") as refused:
            assert refused.status == 401
        async with session.get(f"{url}/metrics", headers={"authorization": f"Bearer {KEY}"}) as shown:
            figures = await shown.text()

    assert 'vllm:generation_tokens_total{model_name="chat"} 3.0' in figures
    assert 'vllm:num_requests_running{model_name="chat"} 0.0' in figures


async def test_a_request_beyond_its_slots_waits_for_one(site):
    pace = {"n_parallel": "1", "first_token_seconds": "0.2", "completion_tokens": "1"}
    url = await ready(site.backend(), simulated(**pace))
    loop = asyncio.get_running_loop()
    async with client(url) as made:
        began = loop.time()
        await asyncio.gather(
            *(made.chat.completions.create(model="chat", messages=QUESTION) for _ in range(3))
        )

    assert loop.time() - began >= 0.6


async def test_a_start_that_is_to_fail_is_gone_with_its_exit_code_after_its_delay(site):
    backend = site.backend()
    await backend.start(simulated(fail_start="7", start_delay_seconds="0.3"))
    seen, way = await step_of(backend, "r-1", Step.READY, Step.GONE)

    assert (seen.step, seen.exit_code) == (Step.GONE, 7)
    assert seen.detail == "simulated failure of the start with exit code 7"
    assert Step.LOADING in way


async def test_requests_fail_at_the_rate_that_is_set(site):
    url = await ready(site.backend(), simulated(fail_rate="1"))
    async with client(url) as made:
        with pytest.raises(openai.InternalServerError, match="simulated failure"):
            await made.chat.completions.create(model="chat", messages=QUESTION)


async def test_it_crashes_at_the_request_after_so_many(site):
    backend = site.backend()
    url = await ready(backend, simulated(crash_after_requests="1"))
    async with client(url) as made:
        await made.chat.completions.create(model="chat", messages=QUESTION)
        with pytest.raises(openai.APIConnectionError):
            await made.chat.completions.create(model="chat", messages=QUESTION)

    gone, _ = await step_of(backend, "r-1", Step.GONE)
    assert (gone.exit_code, gone.detail) == (70, "simulated crash after 1 requests")


async def test_one_that_hangs_is_unhealthy_lives_on_and_ends_when_it_is_stopped(site):
    site.settings = {"probe_period_seconds": 0.05, "probe_timeout_seconds": 0.2}
    backend = site.backend()
    url = await ready(backend, simulated(hang_after_requests="1"))
    async with client(url) as made:
        await made.chat.completions.create(model="chat", messages=QUESTION)
        hanging = asyncio.create_task(made.chat.completions.create(model="chat", messages=QUESTION))
        await step_of(backend, "r-1", Step.UNHEALTHY)
        assert not hanging.done()
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)

    (pid,) = site.pids()
    assert psutil.pid_exists(pid)
    await backend.stop("r-1", 5)
    assert site.pids() == []


async def test_another_provisioner_adopts_it(site):
    first = site.backend()
    url = await ready(first, simulated())
    await first.close()

    (adopted,) = await site.backend().observe()

    assert (adopted.step, adopted.endpoint_url) == (Step.READY, url)
