"""What a request was made of is free when it has ended, and what a connection was made of likewise, and does not wait for the collector: a prompt may be
long, requests are many, and what has lived a while is collected seldom."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from hostler_domain.routing import Routing
from hostler_router.attempt import Attempt
from hostler_router.broken_stream import BrokenStream
from hostler_router.delivery import Delivery
from hostler_router.inference import InferenceRequest
from hostler_router.place_in_line import PlaceInLine
from hostler_router.tries import Tries
from tests.integration.router.harness import Harness, eventually, running_router
from tests.integration.router.replicas import Replica, answers, closed_port_url, streams
from tests.integration.router.test_resume import counts
from tests.integration.router.wire_client import BODY, CHAT, request

STAGES = (Attempt, BrokenStream, Delivery, InferenceRequest, PlaceInLine, Tries)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> Counter[str]:
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, STAGES))


def rings() -> Counter[str]:
    """What of the router, and of its parser, nobody knows any more and only the collector would find."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = Counter(f"{type(each).__module__}.{type(each).__name__}" for each in gc.garbage)
    gc.garbage.clear()
    return Counter(
        {name: count for name, count in found.items() if name.startswith(("hostler_", "httptools"))}
    )


async def all_closed(router: Harness) -> None:
    await eventually(lambda: router.figure("hostler_router_client_connections") == 0)


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("how", ["whole", "stream", "hung up on", "refused", "no HTTP"])
async def test_a_connection_of_a_client(router: Harness, first: Replica, how: str) -> None:
    first.behaviour = streams(3) if how == "stream" else answers
    await router.add_job(first.url)
    body = b'{"model":"chat","stream":true,"messages":[]}' if how == "stream" else BODY
    reader, writer = await asyncio.open_connection("127.0.0.1", router.router.port)
    if how == "no HTTP":
        writer.write(b"\x16\x03\x01\r\n\r\n")
    else:
        writer.write(request(CHAT, b"{}" if how == "refused" else body))
    if how != "hung up on":
        assert await reader.read(1)
    writer.transport.abort()
    await all_closed(router)
    assert rings() == Counter()


@pytest.mark.usefixtures("_no_collector")
async def test_a_connection_to_a_replica_that_hung_up(router: Harness, first: Replica) -> None:
    first.behaviour = answers
    await router.add_job(first.url)
    for _ in range(3):
        assert (await router.chat()).status == 200
    await first.stop()
    await eventually(lambda: router.figure("hostler_router_upstream_connections") == 0)
    assert rings() == Counter()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answered_request(router: Harness, first: Replica, stream: bool) -> None:
    first.behaviour = streams(3) if stream else answers
    await router.add_job(first.url)
    assert (await router.chat(stream=stream)).status == 200
    await eventually(lambda: left() == Counter())
    assert rings() == Counter()


@pytest.mark.usefixtures("_no_collector")
async def test_one_that_was_tried_again_and_one_that_was_refused(router: Harness, first: Replica) -> None:
    first.behaviour = answers
    await router.add_job(closed_port_url(), first.url)
    assert {(await router.chat()).status for _ in range(4)} == {200}
    assert (await router.chat("nobody")).status == 404
    await eventually(lambda: left() == Counter())
    assert rings() == Counter()


@pytest.mark.usefixtures("_no_collector")
async def test_a_stream_that_went_on_elsewhere(router: Harness, first: Replica, second: Replica) -> None:
    first.behaviour = second.behaviour = counts([3])
    await router.add_job(first.url, second.url)
    assert (await router.chat(stream=True)).status == 200
    assert router.figure("hostler_router_resumed_total", job="job-1") == 1
    await eventually(lambda: left() == Counter())
    assert rings() == Counter()


@pytest.mark.usefixtures("_no_collector")
async def test_those_that_waited_and_those_that_waited_in_vain(first: Replica) -> None:
    first.behaviour = answers
    async with running_router(queue_timeout_seconds=5) as router:
        await router.add_job(first.url, routing=Routing(concurrency_per_replica=1))
        got = await asyncio.gather(*(router.chat() for _ in range(4)))
        assert {each.status for each in got} == {200}
        assert router.figure("hostler_router_request_queue_time_seconds_count", job="job-1") >= 1
        await router.add_job(job_id="job-2", name="never", routing=Routing(queue_timeout_seconds=1))
        assert (await router.chat("never")).status == 503
        del got
        await eventually(lambda: left() == Counter())
        assert rings() == Counter()
    assert rings() == Counter()
