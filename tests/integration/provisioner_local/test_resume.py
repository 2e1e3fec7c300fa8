"""An answer whose replica is killed goes on from another one, with the runtimes that this machine can run for real."""

import json

import aiohttp
import psutil
import pytest

from hostler_provisioner.backend import Step
from hostler_router.bodies import read_request
from hostler_router.resume import Resume
from hostler_router.sse import DONE, EventSplitter, data_of
from tests.integration.provisioner_local.local_site import KEY, launch, step_of

pytestmark = pytest.mark.integration

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
PROMPTS = {
    CHAT: {"messages": [{"role": "user", "content": "Tell me a short story about a fox."}]},
    COMPLETION: {"prompt": "There was once a fox who"},
}
TOKENS, KILLED_AT = 40, 9


def launch_of(runtime, replica_id):
    if runtime == "llamacpp":
        return launch(replica_id)
    pace = {"tokens_per_second": "40", "completion_tokens": str(TOKENS + 1)}
    return launch(replica_id, runtime=runtime, model="any/model", args=tuple(pace.items()))


async def ready(backend, wanted):
    await backend.start(wanted)
    seen, _ = await step_of(backend, wanted.replica_id, Step.READY, Step.GONE)
    assert seen.step is Step.READY, seen.detail
    return seen.endpoint_url


async def stream(url, route, body, *, kill=None):
    """The whole events of an answer, as far as they come; `kill` is called in the middle."""
    events, splitter = [], EventSplitter(1_000_000)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(url + route, data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                async for data in answer.content.iter_any():
                    events += splitter.feed(data)
                    if kill and len(events) >= KILLED_AT:
                        kill()
                        kill = None
        except aiohttp.ClientError:
            pass
    return events


def read(events):
    """Text, ids, roles and usage of what a client got."""
    assert data_of(events[-1]) == DONE
    payloads = [json.loads(data) for data in map(data_of, events[:-1]) if data]
    choices = [choice for payload in payloads for choice in payload["choices"]]
    texts = [choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices]
    roles = [choice["delta"]["role"] for choice in choices if "role" in choice.get("delta", {})]
    (usage,) = [payload["usage"] for payload in payloads if payload.get("usage")]
    reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    counts = usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]
    return "".join(texts), len({payload["id"] for payload in payloads}), roles, reasons, counts


@pytest.mark.parametrize(
    ("runtime", "route"), [("llamacpp", CHAT), ("llamacpp", COMPLETION), ("simulated", CHAT)]
)
async def test_a_killed_replicas_answer_goes_on_as_it_would_have(site, runtime, route):
    backend = site.backend()
    first, second = [await ready(backend, launch_of(runtime, each)) for each in ("r-1", "r-2")]
    request = {"model": "chat", "stream": True, "temperature": 0, "max_tokens": TOKENS, **PROMPTS[route]}
    asked = read_request(json.dumps(request).encode(), may_stream=True, route=route)
    whole = await stream(second, route, asked.body)

    def kill():
        for pid in site.pids("r-1"):
            psutil.Process(pid).kill()

    got = await stream(first, route, asked.body, kill=kill)
    assert KILLED_AT <= len(got) < TOKENS
    resume = Resume()
    for event in got:
        resume.passed(event)
    body = resume.continuation(asked, runtime)
    assert body is not None
    rest = [resume.rewrite(event) for event in await stream(second, route, body)]

    assert read([*got, *(event for event in rest if event)]) == read(whole)
