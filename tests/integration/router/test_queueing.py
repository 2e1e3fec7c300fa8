"""Requests that wait: for a place on a replica that has its fill, or for a replica that there is not yet."""

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

import pytest
from aiohttp import web

from hostler_domain.changes import (
    JobDeleteRequested,
    JobStopRequested,
    ReplicaReady,
    ReplicaScheduled,
)
from hostler_domain.routing import Routing
from hostler_domain.scaling import Scaling
from tests.integration.router.harness import Got, Harness, eventually, running_router
from tests.integration.router.replicas import ANSWER, Replica, chunk, event
from tests.support.builders import NODE, at

ONE_AT_A_TIME = Routing(concurrency_per_replica=1)
SLEEPING = Scaling(min_replicas=0, max_replicas=1, initial_replicas=0)


class Turns:
    """What a replica does that answers when it is told to.

    Attributes:
        began: Users of the requests in the order in which they came.
    """

    def __init__(self) -> None:
        self.began: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        name = asked["user"]
        self.began.append(name)
        await self._gates.setdefault(name, asyncio.Event()).wait()
        if asked.get("stream"):
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            await response.write(chunk("t") + b"data: [DONE]\n\n")
            return response
        return web.json_response(ANSWER)

    def answer(self, *names: str) -> None:
        for name in names:
            self._gates.setdefault(name, asyncio.Event()).set()


@pytest.fixture
def turns(first: Replica) -> Turns:
    made = Turns()
    first.behaviour = made
    return made


@pytest.fixture
async def waiting() -> AsyncIterator[Harness]:
    async with running_router(queue_timeout_seconds=30) as harness:
        yield harness


class Callers:
    """Callers of one router, each with a name."""

    def __init__(self, router: Harness) -> None:
        self._router = router
        self.calls: dict[str, asyncio.Task[Got]] = {}

    async def call(self, name: str, said: dict[str, str] | None = None, **fields: object) -> None:
        """Call, and come back when the router has the request."""
        before = self._router.router._table.get("job-1")
        assert before is not None
        had = len(self._router.router._running) + len(self._router.request_lines())
        self.calls[name] = asyncio.create_task(self._router.chat(user=name, said=said, **fields))
        await eventually(lambda: len(self._router.router._running) + len(self._router.request_lines()) > had)

    async def answer(self, name: str) -> Got:
        async with asyncio.timeout(10):
            return await self.calls[name]

    async def hang_up(self, name: str) -> None:
        call = self.calls.pop(name)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


def line(router: Harness) -> int:
    return router.router._lines.waiting("job-1")


async def nothing_left(router: Harness) -> None:
    """Nothing of any request is left behind."""
    parts = router.router._parts
    await eventually(lambda: len(parts.running) == 0)
    assert dict(parts.lines.lengths) == {}
    assert dict(parts.lines._lines) == {}
    assert sum(parts.outstanding.counts.values()) == 0
    assert parts.recorder.in_flight("job-1") == 0
    window = (await router.windows())[-1]
    assert (window.queued, window.in_flight) == (0, 0)
    await eventually(
        lambda: sum(type(item).__name__ == "InferenceRequest" for item in parts.wheel._places) == 0
    )


async def test_one_at_a_time_and_the_first_that_came_goes_first(
    waiting: Harness, first: Replica, turns: Turns
) -> None:
    await waiting.add_job(first.url, routing=ONE_AT_A_TIME)
    callers = Callers(waiting)
    for name in ("a", "b", "c"):
        await callers.call(name)
    await eventually(lambda: turns.began == ["a"])
    assert line(waiting) == waiting.figure("hostler_router_num_requests_waiting", job="job-1") == 2
    assert waiting.figure("hostler_router_num_requests_running", job="job-1") == 1
    window = (await waiting.windows())[-1]
    assert (window.in_flight, window.queued) == (1, 2)
    for name in ("a", "b", "c"):
        turns.answer(name)
        assert (await callers.answer(name)).status == 200
    assert turns.began == ["a", "b", "c"]
    assert waiting.figure("hostler_router_request_queue_time_seconds_count", job="job-1") == 2
    await nothing_left(waiting)


async def test_who_is_in_a_hurry_goes_before_batches(waiting: Harness, first: Replica, turns: Turns) -> None:
    await waiting.add_job(first.url, routing=ONE_AT_A_TIME)
    callers = Callers(waiting)
    await callers.call("running")
    await callers.call("flex", service_tier="flex")
    await callers.call("batch", said={"x-priority": "batch"})
    await callers.call("late", priority=5)
    await callers.call("usual")
    await callers.call("early", priority=-1)
    turns.answer("running", "flex", "batch", "late", "usual", "early")
    for name in callers.calls:
        assert (await callers.answer(name)).status == 200
    assert turns.began == ["running", "early", "usual", "late", "flex", "batch"]


async def test_a_full_line_turns_away_and_says_when_to_come_back(
    waiting: Harness, first: Replica, turns: Turns
) -> None:
    await waiting.add_job(first.url, routing=Routing(concurrency_per_replica=1, queue_max=1))
    callers = Callers(waiting)
    await callers.call("a")
    await callers.call("b")
    got = await waiting.chat(user="c")
    assert (got.status, got.error["code"]) == (429, "queue_full")
    assert got.headers["retry-after"] == "2"
    turns.answer("a", "b")
    assert [(await callers.answer(name)).status for name in ("a", "b")] == [200, 200]
    assert turns.began == ["a", "b"]
    window = (await waiting.windows())[-1]
    assert (window.arrivals, window.completed, window.rejected) == (3, 2, 1)
    await nothing_left(waiting)


async def test_an_interactive_request_takes_the_place_of_a_batch(
    waiting: Harness, first: Replica, turns: Turns
) -> None:
    await waiting.add_job(first.url, routing=Routing(concurrency_per_replica=1, queue_max=1))
    callers = Callers(waiting)
    await callers.call("a")
    await callers.call("batch", said={"x-priority": "batch"})
    await callers.call("b")
    got = await callers.answer("batch")
    assert (got.status, got.error["code"]) == (429, "queue_full")
    again = await waiting.chat(user="batch", said={"x-priority": "batch"})
    assert again.status == 429
    turns.answer("a", "b")
    assert [(await callers.answer(name)).status for name in ("a", "b")] == [200, 200]
    await nothing_left(waiting)


async def test_who_has_waited_in_vain_is_told_so(first: Replica, turns: Turns) -> None:
    async with running_router(queue_timeout_seconds=0.2) as router:
        await router.add_job(first.url, routing=ONE_AT_A_TIME)
        callers = Callers(router)
        await callers.call("a")
        got = await router.chat(user="b")
        assert (got.status, got.error["code"]) == (503, "queue_timeout")
        assert got.headers["retry-after"] == "2"
        turns.answer("a")
        assert (await callers.answer("a")).status == 200
        assert turns.began == ["a"]
        await nothing_left(router)


async def test_the_job_s_own_patience_goes_before_the_router_s(first: Replica, turns: Turns) -> None:
    async with running_router(queue_timeout_seconds=30) as router:
        await router.add_job(first.url, routing=Routing(concurrency_per_replica=1, queue_timeout_seconds=0))
        callers = Callers(router)
        await callers.call("a")
        assert (await router.chat(user="b")).error["code"] == "queue_timeout"
        turns.answer("a")
        await callers.answer("a")


async def test_a_client_that_goes_leaves_the_line(waiting: Harness, first: Replica, turns: Turns) -> None:
    await waiting.add_job(first.url, routing=ONE_AT_A_TIME)
    callers = Callers(waiting)
    for name in ("a", "b", "c"):
        await callers.call(name)
    await callers.hang_up("b")
    await eventually(lambda: line(waiting) == 1)
    turns.answer("a", "c")
    assert (await callers.answer("c")).status == 200
    assert turns.began == ["a", "c"]
    assert waiting.figure("hostler_router_client_disconnects_total") == 1
    await nothing_left(waiting)


async def test_a_client_that_goes_makes_room_on_its_replica(
    waiting: Harness, first: Replica, turns: Turns
) -> None:
    await waiting.add_job(first.url, routing=ONE_AT_A_TIME)
    callers = Callers(waiting)
    await callers.call("a")
    await callers.call("b")
    await eventually(lambda: turns.began == ["a"])
    await callers.hang_up("a")
    turns.answer("b")
    assert (await callers.answer("b")).status == 200


async def test_a_replica_that_becomes_ready_takes_who_waits(
    waiting: Harness, first: Replica, second: Replica, turns: Turns
) -> None:
    second.behaviour = turns
    await waiting.add_job(first.url, routing=ONE_AT_A_TIME)
    callers = Callers(waiting)
    await callers.call("a")
    await callers.call("b")
    await waiting.append(ReplicaScheduled(at(3), "job-1-r2", NODE))
    await waiting.append(ReplicaReady(at(4), "job-1-r2", second.url))
    await eventually(lambda: turns.began == ["a", "b"])
    assert len(second.seen) == 1
    turns.answer("a", "b")
    assert [(await callers.answer(name)).status for name in ("a", "b")] == [200, 200]
    await nothing_left(waiting)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(JobStopRequested(at(9), "key-1"), 503, id="stopped"),
        pytest.param(JobDeleteRequested(at(9), "key-1"), 404, id="deleted"),
    ],
)
async def test_who_waits_for_a_job_that_goes_is_told_at_once(
    waiting: Harness, first: Replica, turns: Turns, change: JobStopRequested, status: int
) -> None:
    await waiting.add_job(first.url, routing=ONE_AT_A_TIME)
    callers = Callers(waiting)
    for name in ("a", "b", "c"):
        await callers.call(name)
    await waiting.append(change)
    for name in ("b", "c"):
        assert (await callers.answer(name)).status == status
    turns.answer("a")
    assert (await callers.answer("a")).status == 200
    assert turns.began == ["a"]
    assert len(waiting.router._running) == 0
    assert dict(waiting.router._lines._lines) == {}


async def test_a_stop_ends_those_that_wait(first: Replica, turns: Turns) -> None:
    async with running_router(drain_timeout_seconds=0.1, queue_timeout_seconds=30) as router:
        await router.add_job(first.url, routing=ONE_AT_A_TIME)
        callers = Callers(router)
        await callers.call("a")
        await callers.call("b")
        await router.stop_router()
        assert [(await callers.answer(name)).error["code"] for name in ("a", "b")] == ["router_stopping"] * 2


async def test_callers_that_come_and_go_at_random_leave_nothing_behind(
    first: Replica, second: Replica
) -> None:
    rng = Random(7)

    async def behave(request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        await asyncio.sleep(rng.random() * 0.01)
        fate = rng.random()
        if fate < 0.1:
            assert request.transport is not None
            request.transport.abort()
        if asked.get("stream"):
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for number in range(3):
                await response.write(chunk(f"t{number} "))
                await asyncio.sleep(rng.random() * 0.005)
            if fate < 0.2:
                await response.write(event({"error": {"message": "no"}}))
            await response.write(b"data: [DONE]\n\n")
            return response
        return web.json_response(ANSWER)

    first.behaviour = second.behaviour = behave
    async with running_router(queue_timeout_seconds=0.15, stall_timeout_seconds=5) as router:
        routing = Routing(concurrency_per_replica=2, queue_max=12)
        await router.add_job(first.url, second.url, routing=routing)
        statuses: set[int] = set()

        async def caller(patience: float) -> None:
            said = {"x-priority": "batch"} if rng.random() < 0.3 else None
            try:
                async with asyncio.timeout(patience):
                    got = await router.chat(stream=rng.random() < 0.5, said=said)
            except TimeoutError:
                return
            statuses.add(got.status)

        for _ in range(6):
            await asyncio.gather(
                *(caller(rng.random() * 0.1 if rng.random() < 0.4 else 10) for _ in range(40))
            )
        assert {200, 429} <= statuses <= {200, 429, 502, 503}
        await nothing_left(router)
        windows = [each for each in await router.windows() if each.job_id == "job-1"]
        arrivals = sum(each.arrivals for each in windows)
        ended = sum(each.completed + each.failed + each.rejected for each in windows)
        gone = router.figure("hostler_router_job_requests_total", job="job-1", outcome="client_gone")
        assert arrivals == ended + gone
        assert router.figure("hostler_router_upstream_connections") <= 2 * 2 + 2


# A job at zero.


async def test_a_stopped_job_says_no_at_once(waiting: Harness, first: Replica) -> None:
    await waiting.add_job(first.url)
    await waiting.append(JobStopRequested(at(9), "key-1"))
    async with asyncio.timeout(2):
        got = await waiting.chat()
    assert (got.status, got.error["code"]) == (503, "no_ready_replica")
    assert got.headers["x-should-retry"] == "false"


async def test_who_waits_counts_against_no_more_than_the_whole_time(first: Replica, turns: Turns) -> None:
    async with running_router(queue_timeout_seconds=30) as router:
        await router.add_job(first.url, routing=ONE_AT_A_TIME)
        entry = router.router._table.get("job-1")
        assert entry is not None
        callers = Callers(router)
        await callers.call("a")
        object.__setattr__(entry, "request_timeout_seconds", 0.2)  # the record holds whole seconds
        got = await router.chat(user="b")
        assert (got.status, got.error["code"]) == (504, "request_timeout")
        turns.answer("a")
        assert (await callers.answer("a")).status == 200
        assert turns.began == ["a"]
        await nothing_left(router)
