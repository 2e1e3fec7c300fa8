"""Limits of keys and projects as a client meets them, counted by the router alone and in a real Valkey."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from hostler_contracts import subjects
from hostler_contracts.catalogue import PROJECTS
from hostler_domain.catalogue import Project
from hostler_domain.limits import Limits
from tests.integration.router.harness import ALICE_KEY, Harness, eventually, running_router
from tests.integration.router.replicas import (
    Replica,
    answers,
    answers_with,
    hangs,
    resets,
    streams,
)
from tests.integration.router.wire_client import CHAT, request, wire_client
from tests.support.builders import at
from tests.support.valkey_server import ValkeyServer


@pytest.fixture(scope="module")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["alone", "valkey"])
async def limited(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    url = None
    if request.param == "valkey":
        server: ValkeyServer = request.getfixturevalue("shared_valkey")
        with server.client() as client:
            client.flushall()
        url = server.url
    async with running_router(valkey_url=url, limits_timeout_seconds=5.0) as harness:
        yield harness


async def bound(router: Harness, **limits: int) -> None:
    await router.add_key(ALICE_KEY, "alice", "inference", limits=Limits(**limits))
    await eventually(lambda: any(each.limits for each in router.router.keys.records.values()))


def held(router: Harness) -> int:
    """Requests that hold a slot."""
    return sum(len(requests) for _, requests in router.router._limiter._held.requests())


async def test_requests_a_minute(limited: Harness, first: Replica) -> None:
    await limited.add_job(first.url)
    await bound(limited, requests_per_minute=2)
    good = [await limited.chat() for _ in range(2)]
    assert [got.status for got in good] == [200, 200]
    assert [got.headers["x-ratelimit-remaining-requests"] for got in good] == ["1", "0"]
    got = await limited.chat()
    assert (got.status, got.error["code"], got.error["type"]) == (429, "rate_limit_exceeded", "requests")
    assert 0 < int(got.headers["retry-after"]) <= 30
    assert 0 < int(got.headers["retry-after-ms"]) <= 30_000
    assert got.headers["x-ratelimit-limit-requests"] == "2"
    assert got.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(first.seen) == 2
    assert limited.figure("hostler_router_rate_limited_total", limit="key.requests_per_minute") == 1
    window = (await limited.windows())[-1]
    assert (window.arrivals, window.completed, window.failed) == (3, 2, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_each_header_comes_once(limited: Harness, first: Replica, stream: bool) -> None:
    await limited.add_job(first.url)
    await bound(limited, requests_per_minute=2, tokens_per_minute=100_000)
    body = json.dumps({"model": "chat", "stream": stream}).encode()
    async with wire_client(limited) as client:
        for number in range(3):
            await client.send(request(CHAT, body))
            await client.answer(number)
    assert [each.status for each in client.answers] == [200, 200, 429]
    for each in client.answers:
        assert all(len(values) == 1 for values in each.headers.values()), each.headers
        assert {name for name in each.headers if name.startswith("x-ratelimit-")} == {
            f"x-ratelimit-{what}-{of}"
            for what in ("limit", "remaining", "reset")
            for of in ("requests", "tokens")
        }


async def test_what_was_set_aside_is_corrected_by_what_was_used(limited: Harness, first: Replica) -> None:
    await limited.add_job(first.url)
    await bound(limited, tokens_per_minute=1000)
    for _ in range(3):
        assert (await limited.chat(max_tokens=600)).status == 200
        await asyncio.sleep(0.05)  # corrections travel in company
    got = await limited.chat(max_tokens=2000)
    assert got.status == 429
    assert got.error["type"] == "tokens"
    assert "retry-after" not in got.headers, "it is larger than the whole limit"


async def test_requests_at_once(limited: Harness, first: Replica) -> None:
    gate = asyncio.Event()
    first.behaviour = streams(1, gate=gate)
    await limited.add_job(first.url)
    await bound(limited, concurrency=1)
    call = asyncio.create_task(limited.chat(stream=True))
    await eventually(lambda: len(first.seen) == 1)
    got = await limited.chat(stream=True)
    assert (got.status, got.error["code"]) == (429, "rate_limit_exceeded")
    gate.set()
    assert (await call).status == 200
    assert held(limited) == 0


@pytest.mark.parametrize(
    ("behaviour", "stream", "status"),
    [
        pytest.param(answers, False, 200, id="answered"),
        pytest.param(streams(2), True, 200, id="streamed"),
        pytest.param(answers_with(400, {"message": "no"}), False, 400, id="refused by the runtime"),
        pytest.param(answers_with(500, {"message": "no"}), False, 500, id="failed"),
        pytest.param(resets(), False, 502, id="reset"),
        pytest.param(streams(1, then="reset"), True, 200, id="broken off"),
        pytest.param(hangs, False, 0, id="client gone"),
        pytest.param(streams(1, then="silence"), True, 0, id="client gone from a stream"),
    ],
)
async def test_the_slot_is_given_back_however_it_ends(
    limited: Harness, first: Replica, behaviour: object, stream: bool, status: int
) -> None:
    first.behaviour = behaviour  # type: ignore[assignment]  # it is one of the list above
    await limited.add_job(first.url)
    await bound(limited, concurrency=1)
    call = asyncio.create_task(limited.chat(stream=stream))
    if status:
        got = await call
        assert got.status == status
    else:
        await eventually(lambda: len(first.seen) == 1)
        assert held(limited) == 1
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await eventually(lambda: held(limited) == 0)
    await asyncio.sleep(0.05)  # corrections travel in company
    first.behaviour = answers
    assert (await limited.chat()).status == 200


async def test_one_that_never_reached_a_replica_gives_its_slot_back(limited: Harness) -> None:
    await limited.add_job()
    await bound(limited, concurrency=1)
    for _ in range(3):
        assert (await limited.chat()).status == 503
        await asyncio.sleep(0.05)
    assert held(limited) == 0


async def test_a_project_s_limit_holds_for_all_of_its_keys(limited: Harness, first: Replica) -> None:
    await limited.add_job(first.url)
    project = Project(
        "alice", "01939e00-0000-7000-8000-00000000000a", at(0), limits=Limits(requests_per_minute=1)
    )
    await limited.bus.bucket(subjects.BUCKET_PROJECTS).put("alice", PROJECTS.encode(project))
    await eventually(lambda: "alice" in limited.router.projects.records)
    assert (await limited.chat()).status == 200
    assert (await limited.chat()).status == 429
    assert limited.figure("hostler_router_rate_limited_total", limit="project.requests_per_minute") == 1
