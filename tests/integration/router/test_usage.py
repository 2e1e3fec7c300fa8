"""What is put down of finished requests, and that it is put down once whatever the bus does."""

import asyncio
import json
import time

import pytest

from hostler_bus.errors import BusUnavailable, MessageTooLarge
from hostler_bus.memory import MemoryBus
from hostler_bus.port import Appended
from hostler_contracts import subjects
from hostler_contracts.catalogue import KEY_USES
from hostler_domain.api_keys import make_key
from hostler_domain.job import EndpointAuth
from hostler_router import usage_backlog
from tests.integration.router.harness import ADMIN_KEY, ALICE_KEY, Harness, eventually, running_router
from tests.integration.router.replicas import Replica, answers_with, resets, streams


async def test_a_finished_request_is_put_down_with_who_what_and_how_much(
    router: Harness, first: Replica
) -> None:
    first.behaviour = answers_with(200, {"usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    await router.add_job(first.url)
    await router.chat()
    ((subject, request),) = await router.usage()
    assert subject == "hostler.usage.alice.job-1"
    assert request.model_dump(exclude={"usage_id", "request_id", "started_at", "duration_seconds"}) == {
        "key_id": "key-alice-inference",
        "key_project": "alice",
        "replica_id": "job-1-r1",
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "route": "/v1/chat/completions",
        "status": 200,
        "outcome": "answered",
        "streamed": False,
        "aborted": False,
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "audio_seconds": None,
        "cached_tokens": None,
        "measured": True,
        "resumed": False,
        "first_token_seconds": None,
    }


async def test_every_request_counts_as_one_though_its_client_uses_one_id_for_all(
    router: Harness, first: Replica
) -> None:
    await router.add_job(first.url)
    for _ in range(3):
        body = json.dumps({"model": "chat"}).encode()
        await router.post("/v1/chat/completions", body, {"x-request-id": "same"})
    requests = [request for _, request in await router.usage()]
    assert {request.request_id for request in requests} == {"same"}
    assert len({request.usage_id for request in requests}) == 3


async def test_a_request_that_its_client_left_is_put_down_as_not_whole(
    router: Harness, first: Replica
) -> None:
    first.behaviour = streams(1, then="silence")
    await router.add_job(first.url)
    body = json.dumps({"model": "chat", "stream": True}).encode()
    response = await router.client.post("/v1/chat/completions", data=body)
    await response.content.readuntil(b"\n\n")
    response.close()
    await eventually(lambda: len(router.request_lines()) == 1)
    ((_, request),) = await router.usage()
    assert (request.outcome, request.aborted, request.streamed) == ("client_gone", True, True)


async def test_a_request_that_failed_is_put_down_as_failed(router: Harness, first: Replica) -> None:
    first.behaviour = resets()
    await router.add_job(first.url)
    assert (await router.chat()).status == 502
    ((_, request),) = await router.usage()
    assert (request.outcome, request.status, request.prompt_tokens) == ("failed", 502, None)


async def test_a_request_that_reached_no_replica_is_in_no_usage(router: Harness) -> None:
    await router.add_job()
    assert (await router.chat()).status == 503
    assert (await router.chat("nobody")).status == 404
    assert await router.usage() == []


async def test_a_public_job_without_a_key_is_put_down_for_nobody(router: Harness, first: Replica) -> None:
    await router.add_job(first.url, endpoint_auth=EndpointAuth.PUBLIC)
    await router.chat(key="")
    ((_, request),) = await router.usage()
    assert (request.key_id, request.key_project) == (None, None)


async def test_a_batch_whose_publish_was_not_answered_is_stored_once(
    router: Harness, first: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    await router.add_job(first.url)
    append = MemoryBus.append
    answers = iter((False, False, True))

    async def unanswered(self: MemoryBus, subject: str, data: bytes, **options: object) -> Appended:
        if not subject.startswith("hostler.usage."):
            return await append(self, subject, data, **options)  # type: ignore[arg-type]  # passed on
        appended = await append(self, subject, data, **options)  # type: ignore[arg-type]  # passed on
        if not next(answers):
            raise BusUnavailable("no answer in time")
        return appended

    monkeypatch.setattr(MemoryBus, "append", unanswered)
    await router.chat()
    for _ in range(2):
        usage = await router.usage()
    assert len(usage) == 1
    assert list(answers) == []
    answers = iter((True,))
    await router.chat()
    assert len(await router.usage()) == 2


async def test_a_batch_that_can_never_be_stored_is_counted_as_lost_and_holds_up_no_other(
    router: Harness, first: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    await router.add_job(first.url)
    append = MemoryBus.append

    async def too_large(self: MemoryBus, subject: str, data: bytes, **options: object) -> Appended:
        if subject.startswith("hostler.usage."):
            raise MessageTooLarge("it is")
        return await append(self, subject, data, **options)  # type: ignore[arg-type]  # passed on

    with monkeypatch.context() as patched:
        patched.setattr(MemoryBus, "append", too_large)
        await router.chat()
        assert await router.usage() == []
    assert router.figure("hostler_router_usage_lost_total") == 1
    await router.chat()
    assert len(await router.usage()) == 1


async def test_when_too_many_batches_wait_the_oldest_are_given_up_and_counted(
    first: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = MemoryBus.append

    async def away(self: MemoryBus, subject: str, data: bytes, **options: object) -> Appended:
        if subject.startswith("hostler.usage."):
            raise BusUnavailable("no answer in time")
        return await append(self, subject, data, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(usage_backlog, "MEMORY_BYTES_MAX", 2000)  # room for two
    async with running_router(usage_spool_bytes_max=1) as router:  # so nothing goes to the disk
        await router.add_job(first.url)
        with monkeypatch.context() as patched:
            patched.setattr(MemoryBus, "append", away)
            for number in range(3):
                body = json.dumps({"model": "chat"}).encode()
                await router.post("/v1/chat/completions", body, {"x-request-id": f"request-{number}"})
                assert await router.usage() == []
        assert [request.request_id for _, request in await router.usage()] == ["request-1", "request-2"]
        assert router.figure("hostler_router_usage_lost_total") == 1


async def test_the_last_requests_are_published_at_a_stop(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    await router.chat()
    await router.stop_router()
    stored = [m async for m in router.bus.history(subjects.USAGE, subjects.USAGE_SUBJECTS)]
    assert len(stored) == 1


async def test_the_use_of_a_key_is_noted_by_the_hour(router: Harness, first: Replica) -> None:
    await router.add_job(first.url)
    await asyncio.gather(*(router.chat() for _ in range(3)))
    await router.router._key_uses.flush()
    bucket = router.bus.bucket(subjects.BUCKET_KEY_USES)
    entry = await bucket.get("key-alice-inference")
    assert entry is not None
    assert KEY_USES.decode(entry.value).used_at.minute == 0
    await router.chat()
    await router.router._key_uses.flush()
    again = await bucket.get("key-alice-inference")
    assert again == entry, "once an hour is enough"


LIMITED_KEY = make_key(b"limited" * 4)


@pytest.mark.parametrize("allowed", ["chat", "job-1"])
async def test_a_key_for_some_jobs_reaches_those_alone(router: Harness, first: Replica, allowed: str) -> None:
    await router.add_job(first.url)
    await router.add_job(first.url, job_id="job-2", name="other", model="other/model")
    await router.add_job(
        first.url, job_id="job-3", name="open", model="open/model", endpoint_auth=EndpointAuth.PUBLIC
    )
    await router.add_key(LIMITED_KEY, "alice", "inference", allowed_jobs=(allowed,))
    await eventually(lambda: len(router.router.keys.records) == 5)
    names = ("chat", "job-1", "other", "job-2", "alice/other", "other/model", "open")
    statuses = [(await router.chat(name, key=LIMITED_KEY)).status for name in names]
    assert statuses == [200, 200, 404, 404, 404, 404, 200]
    listed = await router.client.get("/v1/models", headers={"authorization": f"Bearer {LIMITED_KEY}"})
    assert [each["id"] for each in (await listed.json())["data"]] == ["job-1"]
    for key in (ALICE_KEY, ADMIN_KEY):
        assert (await router.chat("job-2", key=key)).status == 200


async def test_the_time_of_a_request_ends_when_the_end_of_its_answer_leaves(
    first: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_router(usage_commit_timeout_seconds=0.4) as router:
        await router.add_job(first.url)

        def never(*_: object, **__: object) -> asyncio.Future[Appended]:
            return asyncio.get_running_loop().create_future()

        monkeypatch.setattr(router.router_bus, "append_soon", never)
        began = time.monotonic()
        assert (await router.chat()).status == 200
        seconds = time.monotonic() - began
        (line,) = router.request_lines()
        ms = line["ms"]
        assert isinstance(ms, float)
        assert 0.4 <= ms / 1000 <= seconds
        route = "/v1/chat/completions"
        assert 0.4 <= router.figure("hostler_router_request_seconds_sum", route=route) <= seconds
