"""What a request was made of is free when it has ended, and does not wait for the collector: a prompt may be long, and requests are many."""

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

STAGES = (Attempt, BrokenStream, Delivery, InferenceRequest, PlaceInLine, Tries)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> Counter[str]:
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, STAGES))


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answered_request(router: Harness, first: Replica, stream: bool) -> None:
    first.behaviour = streams(3) if stream else answers
    await router.add_job(first.url)
    assert (await router.chat(stream=stream)).status == 200
    await eventually(lambda: left() == Counter())


@pytest.mark.usefixtures("_no_collector")
async def test_one_that_was_tried_again_and_one_that_was_refused(router: Harness, first: Replica) -> None:
    first.behaviour = answers
    await router.add_job(closed_port_url(), first.url)
    assert {(await router.chat()).status for _ in range(4)} == {200}
    assert (await router.chat("nobody")).status == 404
    await eventually(lambda: left() == Counter())


@pytest.mark.usefixtures("_no_collector")
async def test_a_stream_that_went_on_elsewhere(router: Harness, first: Replica, second: Replica) -> None:
    first.behaviour = second.behaviour = counts([3])
    await router.add_job(first.url, second.url)
    assert (await router.chat(stream=True)).status == 200
    assert router.figure("hostler_router_resumed_total", job="job-1") == 1
    await eventually(lambda: left() == Counter())


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
