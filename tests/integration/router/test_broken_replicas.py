"""Replicas that fail: who is left out for a while, when nobody is, and how many retries there are; and that figures show it."""

import asyncio
import json

from aiohttp import web

from hostler_domain.changes import JobDeleteRequested
from tests.integration.router.harness import Harness, eventually, running_router
from tests.integration.router.replicas import (
    Replica,
    answers,
    answers_with,
    chunk,
    closed_port_url,
    hangs,
    streams,
)
from tests.support.builders import at

FAILS = answers_with(500, {"message": "no"})


def scraped(router: Harness, name: str, **labels: str) -> float:
    """A figure as of now: some are worked out when somebody looks."""
    router.router._metrics.refresh()
    return router.figure(name, **labels)


async def test_a_replica_that_fails_is_left_out(router: Harness, first: Replica, second: Replica) -> None:
    first.behaviour = answers_with(502, {})
    await router.add_job(first.url, second.url)
    for _ in range(30):
        assert (await router.chat()).status == 200
    assert len(first.seen) == 5
    assert router.figure("hostler_router_ejections_total", job="job-1", reason="error") == 1
    assert scraped(router, "hostler_router_panic", job="job-1") == 0
    assert router.figure("hostler_router_retries_total", reason="no_ready_replica") == 5
    (line,) = [each for each in router.log_lines if each["event"] == "replica.ejected"]
    assert (line["replica"], line["reason"]) == ("job-1-r1", "error")


async def test_an_error_of_its_own_counts_against_a_replica(
    router: Harness, first: Replica, second: Replica
) -> None:
    first.behaviour = FAILS
    await router.add_job(first.url, second.url)
    statuses = [(await router.chat()).status for _ in range(30)]
    assert statuses.count(500) == len(first.seen) == 5
    assert router.figure("hostler_router_ejections_total", job="job-1", reason="error") == 1


async def test_a_replica_that_nobody_reaches_is_left_out(router: Harness, second: Replica) -> None:
    await router.add_job(closed_port_url(), second.url)
    for _ in range(20):
        assert (await router.chat()).status == 200
    assert router.figure("hostler_router_ejections_total", job="job-1", reason="unreachable") == 1
    assert sum(each["tries"] == 2 for each in router.request_lines()) == 5


async def test_where_all_fail_nobody_is_left_out(router: Harness, first: Replica, second: Replica) -> None:
    first.behaviour = second.behaviour = FAILS
    await router.add_job(first.url, second.url)
    for _ in range(14):
        assert (await router.chat()).status == 500
    assert scraped(router, "hostler_router_panic", job="job-1") == 1
    first.behaviour = second.behaviour = answers
    seen = len(first.seen), len(second.seen)
    for _ in range(20):
        assert (await router.chat()).status == 200
    assert len(first.seen) > seen[0]
    assert len(second.seen) > seen[1]


async def test_one_that_hangs_is_left_out_at_once(first: Replica, second: Replica) -> None:
    first.behaviour = hangs
    async with running_router(first_byte_timeout_seconds=0.2) as router:
        await router.add_job(first.url, second.url)
        for _ in range(6):
            assert (await router.chat()).status == 200
        assert len(first.seen) == 1
        assert router.figure("hostler_router_ejections_total", job="job-1", reason="stall") == 1


async def test_retries_come_out_of_a_budget(router: Harness, first: Replica, second: Replica) -> None:
    # Streams that break ahead of their first event are tried again; here by all callers at once, on replicas that all fail.
    first.behaviour = second.behaviour = streams(0, then="end")
    await router.add_job(first.url, second.url)
    assert scraped(router, "hostler_router_retry_budget") == 100
    got = await asyncio.gather(*(router.chat(stream=True) for _ in range(200)))
    assert {each.status for each in got} == {502}
    retries = router.figure("hostler_router_retries_total", reason="replica_failed")
    assert 130 <= retries <= 140, "a hundred of ten seconds, and a fifth of two hundred"
    assert scraped(router, "hostler_router_retry_budget") < 5


async def test_the_time_between_events_is_measured(router: Harness, first: Replica) -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number, gate in enumerate(gates):
            await response.write(chunk(f"t{number} "))
            await gate.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    first.behaviour = behave
    await router.add_job(first.url)
    body = json.dumps({"model": "chat", "stream": True}).encode()
    async with router.client.post("/v1/chat/completions", data=body) as response:
        for gate in gates:
            await response.content.readuntil(b"\n\n")
            gate.set()
        await response.content.read()
    assert router.figure("hostler_router_inter_token_latency_seconds_count", job="job-1") == 2


async def test_a_replica_of_a_job_that_is_gone_is_not_remembered(router: Harness, first: Replica) -> None:
    gate = asyncio.Event()

    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chunk("a "))
        await gate.wait()
        return response  # without its end mark

    first.behaviour = breaks
    await router.add_job(first.url)
    asking = asyncio.create_task(router.chat(stream=True))
    await eventually(lambda: len(first.seen) == 1)
    await router.append(JobDeleteRequested(at(9), "key-1"))
    gate.set()
    assert json.loads((await asking).events[-1])["error"]["code"] == "replica_failed"
    assert router.router._outliers == {}
