"""Asking and answering."""

import asyncio

import pytest

from hostler_bus.errors import BusClosed, HandlerFailed, NoResponder, RequestTimeout
from hostler_bus.port import Bus
from hostler_contracts import subjects
from tests.conformance.bus.conftest import World

SUBJECT = subjects.router_in_flight("router-1")


async def echo(data: bytes) -> bytes:
    return b"echo " + data


async def test_a_request_is_answered(world: World) -> None:
    asking, serving = await world.connect(), await world.connect()
    await serving.serve(SUBJECT, echo)
    assert await asking.request(SUBJECT, b"hello", timeout_seconds=5) == b"echo hello"
    assert await asking.request(SUBJECT, b"", timeout_seconds=5) == b"echo "


async def test_nobody_serving_is_told_at_once(bus: Bus) -> None:
    with pytest.raises(NoResponder):
        await bus.request(SUBJECT, b"", timeout_seconds=60)


async def test_a_slow_answer_is_a_timeout_and_holds_up_no_other(bus: Bus) -> None:
    release = asyncio.Event()

    async def slow(data: bytes) -> bytes:
        if data == b"slow":
            await release.wait()
        return data

    await bus.serve(SUBJECT, slow)
    with pytest.raises(RequestTimeout):
        await bus.request(SUBJECT, b"slow", timeout_seconds=0.05)
    assert await bus.request(SUBJECT, b"quick", timeout_seconds=5) == b"quick"
    release.set()


async def test_a_handler_that_fails_is_told_to_whoever_asked(bus: Bus) -> None:
    async def broken(data: bytes) -> bytes:
        raise ValueError(data)

    await bus.serve(SUBJECT, broken)
    with pytest.raises(HandlerFailed, match="ValueError"):
        await bus.request(SUBJECT, b"", timeout_seconds=5)


async def test_of_a_queue_one_gets_each_request(world: World) -> None:
    calls: list[int] = []

    def counting(number: int) -> None:
        calls.append(number)

    buses = [await world.connect() for _ in range(3)]
    for number, bus in enumerate(buses):

        async def handler(data: bytes, number: int = number) -> bytes:
            counting(number)
            return data

        await bus.serve(SUBJECT, handler, queue="routers")
    for _ in range(30):
        await buses[0].request(SUBJECT, b"", timeout_seconds=5)
    assert len(calls) == 30


async def test_a_closed_subject_is_served_no_more(bus: Bus) -> None:
    served = await bus.serve(SUBJECT, echo)
    await served.close()
    await served.close()
    with pytest.raises(NoResponder):
        await bus.request(SUBJECT, b"", timeout_seconds=60)


async def test_drain_finishes_the_requests_at_hand(world: World) -> None:
    asking, serving = await world.connect(), await world.connect()
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(data: bytes) -> bytes:
        begun.set()
        await release.wait()
        return data

    await serving.serve(SUBJECT, slow)
    request = asyncio.create_task(asking.request(SUBJECT, b"x", timeout_seconds=10))
    await begun.wait()
    drain = asyncio.create_task(serving.drain())
    await asyncio.sleep(0.05)
    assert not drain.done()
    release.set()
    assert await request == b"x"
    await drain


async def test_a_drained_bus_does_nothing_more(bus: Bus) -> None:
    before = bus.connected
    await bus.drain()
    await bus.drain()
    assert (before, bus.connected) == (True, False)
    with pytest.raises(BusClosed):
        await bus.append(subjects.job_event("p", "j", "job.created"), b"", msg_id="1")
    with pytest.raises(BusClosed):
        await bus.publish(SUBJECT, b"")
    with pytest.raises(BusClosed):
        await bus.last(subjects.JOBS, subjects.JOBS_SUBJECTS)
    with pytest.raises(BusClosed):
        await bus.request(SUBJECT, b"", timeout_seconds=1)
