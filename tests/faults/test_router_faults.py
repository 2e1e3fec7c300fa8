"""The rows of the fault matrix that concern the data path: 8 to 13, 19 and 24, on real processes, seen by the callers alone.

Each test prints the figure that its row names. Replicas are simulated; `test_real_runtime.py` has one on the real llama server.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx2
import pytest

from hostler_provisioner.local.simulated_server import answer_words
from tests.faults.callers import Callers, End, Heard, all_begun, all_heard, ends
from tests.faults.router_site import RouterSite, resident_bytes, router_site
from tests.support.services import Service, until

STALL_SECONDS = 2.0
NO_RESUME = {"X-Resume": "off"}
PARTITION_SECONDS = float(os.environ.get("HOSTLER_TEST_PARTITION_SECONDS", "16"))
"""How long NATS is away, in two halves: frozen, then killed. 600 is what the fault matrix asks for."""
HERD = int(os.environ.get("HOSTLER_TEST_HERD", "300"))
"""Clients at a cold start; twice as many come at once to one replica. 5,000 is what the fault matrix asks for."""
QUEUE_MAX = 1024
"""The router's own bound on those that wait; the others are told to come again."""
BYTES_PER_CLIENT = 24 * 2**10

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300 + PARTITION_SECONDS)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterSite]:
    with router_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def started() -> list[tuple[Service, str]]:
    """The router that the tests share, with its address, once one has started it."""
    return []


@pytest.fixture
async def site(place: RouterSite) -> AsyncIterator[RouterSite]:
    async with place.connected():
        yield place


@pytest.fixture
async def shared(site: RouterSite, started: list[tuple[Service, str]]) -> tuple[Service, str]:
    """A router that no test kills, and its address."""
    if not started:
        started.append(await site.router("router-1", stall_timeout_seconds=STALL_SECONDS))
    return started[0]


@pytest.fixture
def url(shared: tuple[Service, str]) -> str:
    """Of that router."""
    return shared[1]


def expected_text(words: int) -> str:
    """What a simulated replica says, to compare with what came: a word lost within a whole stream is a truncation too."""
    return "".join(answer_words(words))


async def test_row_8_a_replica_killed_before_the_first_byte_is_no_clients_business(
    site: RouterSite, url: str
) -> None:
    job, callers = await site.job(
        url, replicas=3, first_token_seconds=1.5, tokens_per_second=200, completion_tokens=4
    )
    asking = [asyncio.create_task(callers.ask(stream=number % 2 == 0)) for number in range(30)]
    await until(lambda: job.replicas[0].running() >= 5, "it has requests")
    job.replicas[0].kill()
    heard = await asyncio.gather(*asking)
    heard += await callers.ask_many(20)

    errors = [each for each in heard if each.end is not End.DONE]
    print(f"row 8: {len(heard)} requests, one of three replicas killed: {len(errors)} client errors")
    assert errors == []
    assert {each.text for each in heard} == {expected_text(4)}


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("headers", [pytest.param({}, id="resume"), pytest.param(NO_RESUME, id="no resume")])
async def test_row_9_a_replica_killed_mid_stream_ends_no_stream_without_a_word(
    site: RouterSite, url: str, headers: dict[str, str], route: str
) -> None:
    job, callers = await site.job(url, replicas=2, tokens_per_second=25, completion_tokens=50)
    callers = replace(callers, route=route)
    calls = await callers.open_many(40, headers=headers)
    await all_begun(calls, words=5)
    job.replicas[0].kill()
    heard = await all_heard(calls)

    resumed = sum(each.resumed for each in heard)
    print(f"row 9: 40 streams, one of two replicas killed: {ends(heard)}, {resumed} resumed")
    assert [each.body[-200:] for each in heard if each.end is End.TRUNCATED] == []
    assert {each.text for each in heard if each.end is End.DONE} == {expected_text(50)}
    assert all(expected_text(50).startswith(each.text) for each in heard)
    if not headers:
        assert ends(heard) == {"done": 40}
        assert resumed == 20
    else:
        assert ends(heard) == {"done": 20, "error": 20}
        assert {each.error["code"] for each in heard if each.error} == {"replica_failed"}


async def test_row_10_a_frozen_replica_is_given_up_within_the_stall_timeout_and_then_avoided(
    site: RouterSite, url: str
) -> None:
    job, callers = await site.job(url, replicas=2, tokens_per_second=10, completion_tokens=80)
    calls = await callers.open_many(20, headers=NO_RESUME)
    await all_begun(calls, words=3)
    frozen = job.replicas[0]
    on_it = await asyncio.to_thread(frozen.running)
    frozen.freeze()
    frozen_at = time.monotonic()
    broken: list[Heard] = []
    async with asyncio.timeout(30):
        while len(broken) < on_it:
            await asyncio.sleep(0.05)
            broken = [call.heard.result() for call in calls if call.heard.done()]
    longest = max(each.ended - frozen_at for each in broken)
    later = [asyncio.create_task(callers.ask(max_tokens=2)) for _ in range(20)]
    answered, stuck = await asyncio.wait(later, timeout=STALL_SECONDS * 3)
    slowest = max((each.result().seconds for each in answered), default=0.0)
    frozen.thaw()
    rest = await all_heard(calls)
    done = ends(await asyncio.gather(*later))

    print(
        f"row 10: {on_it} of 20 streams on the frozen replica, error {longest:.2f} s after the freeze at a stall timeout of {STALL_SECONDS:g} s; "
        f"of 20 requests after it {len(answered)} were answered, within {slowest:.2f} s at most"
    )
    assert on_it >= 5, "hardly any stream was on it"
    assert longest <= STALL_SECONDS + 1
    assert {(each.end, each.error["code"]) for each in broken} == {(End.ERROR, "replica_stalled")}
    assert not stuck, "they waited for the frozen replica"
    assert done == {"done": 20}
    assert slowest < STALL_SECONDS, "some waited for the frozen replica"
    assert End.TRUNCATED not in {each.end for each in rest}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole answer"])
async def test_row_11_who_hangs_up_frees_the_replica_and_is_put_down_once(
    site: RouterSite, url: str, stream: bool
) -> None:
    job, callers = await site.job(url, replicas=1, tokens_per_second=20, completion_tokens=400)
    (replica,) = job.replicas
    calls = await callers.open_many(10, stream=stream)
    await until(lambda: replica.running() == 10, "all are under way")
    if stream:
        await all_begun(calls, words=5)
    for call in calls:
        call.hang_up()
    gone_at = time.monotonic()
    await until(lambda: replica.running() == 0, "its slots are free", timeout_seconds=10)
    freed_seconds = time.monotonic() - gone_at
    heard = await all_heard(calls)
    records = await site.usage_of(job, requests=10)

    print(
        f"row 11: slots free {freed_seconds:.2f} s after {len(calls)} callers hung up, {len(records)} records"
    )
    assert freed_seconds < 1
    assert sorted(each.request_id for each in records) == sorted(each.request_id for each in heard)
    counted = {each.request_id: each.completion_tokens or 0 for each in records}
    assert all(counted[each.request_id] >= each.words for each in heard)
    assert {each.aborted for each in records} == {True}


async def test_row_13_a_router_that_is_told_to_stop_finishes_its_streams(site: RouterSite) -> None:
    router, url = await site.router("router-13", drain_timeout_seconds=6)
    _, callers = await site.job(url, replicas=2, tokens_per_second=8, completion_tokens=400)
    short = await callers.open_many(150, max_tokens=24)
    long = await callers.open_many(50)
    await all_begun([*short, *long])
    router.process.send_signal(signal.SIGTERM)
    statuses = set()
    async with httpx2.AsyncClient() as client, asyncio.timeout(30):
        while router.process.poll() is None:
            try:
                statuses.add((await client.get(f"{router.ops_url}/readyz", timeout=5)).status_code)
            except httpx2.TransportError:
                statuses.add(0)
            await asyncio.sleep(0.1)
    heard, cut = await all_heard(short), await all_heard(long)

    truncated = sum(each.end is End.TRUNCATED for each in [*heard, *cut])
    print(f"row 13: SIGTERM under 200 streams: short {ends(heard)}, long {ends(cut)}, truncated {truncated}")
    assert 503 in statuses, "it did not say that it takes no more"
    assert 200 not in statuses - {0, 503} or len(statuses) > 1
    assert {each.text for each in heard if each.end is End.DONE} == {expected_text(24)}
    assert ends(heard) == {"done": 150}
    assert ends(cut) == {"error": 50}
    assert {each.error["code"] for each in cut} == {"router_stopping"}
    assert router.process.returncode == 0


async def test_row_19_a_herd_at_a_cold_start_waits_and_is_served(
    site: RouterSite, shared: tuple[Service, str]
) -> None:
    router, url = shared
    job = await site.sleeping_job("cold")
    callers = Callers(url, (await site.job(url, replicas=0))[1].key, "cold")
    await until(lambda: knows(url, callers), "the router knows the job")
    asking = [asyncio.create_task(callers.ask(stream=number % 2 == 0)) for number in range(HERD)]
    in_line = min(HERD, QUEUE_MAX)
    await until(
        lambda: router.metric("hostler_router_num_requests_waiting") >= in_line,
        "the herd stands in line",
    )
    replica = site.start_replica(
        "cold-r1", first_token_seconds=0.02, tokens_per_second=200, completion_tokens=4
    )
    await until(replica.healthy, "the replica serves")
    ready_at = time.monotonic()
    await site.ready(job, replica)
    heard = await asyncio.gather(*asking)
    seconds = time.monotonic() - ready_at

    done = [each for each in heard if each.end is End.DONE]
    first = min((each.ended for each in done), default=0.0) - ready_at
    print(
        f"row 19: {HERD} clients at a cold start: {ends(heard)}, the first {first * 1000:.0f} ms after Ready, the last within {seconds:.1f} s"
    )
    assert {each.status for each in heard} <= {200, 429, 503}
    assert all("retry-after" in each.headers for each in heard if each.end is End.REFUSED)
    assert {each.end for each in heard} <= {End.DONE, End.REFUSED}
    assert len(done) >= 0.8 * in_line, "those that waited were not served"


def knows(url: str, callers: Callers) -> bool:
    found = httpx2.get(f"{url}/v1/models/{callers.model}", headers={"Authorization": f"Bearer {callers.key}"})
    return found.status_code == 200


async def test_row_19_a_herd_on_one_replica_is_served_at_its_pace(site: RouterSite) -> None:
    router, url = await site.router("router-19")
    _, callers = await site.job(
        url, replicas=1, n_parallel=16, first_token_seconds=0.1, tokens_per_second=100, completion_tokens=11
    )

    async def keep_asking(until_at: float) -> int:
        answered = 0
        while time.monotonic() < until_at:
            answered += (await callers.ask(stream=False)).end is End.DONE
        return answered

    plateau_seconds = 3.0
    over = time.monotonic() + plateau_seconds
    plateau = sum(await asyncio.gather(*(keep_asking(over) for _ in range(16)))) / plateau_seconds
    before = resident_bytes(router.process.pid)
    began = time.monotonic()
    heard = await callers.ask_many(2 * HERD, stream=False)
    seconds = time.monotonic() - began
    grown_mib = (resident_bytes(router.process.pid) - before) / 2**20

    done = sum(each.end is End.DONE for each in heard)
    goodput = done / seconds
    retries = router.metric("hostler_router_retries_total")
    print(
        f"row 19: {2 * HERD} at once: {ends(heard)} in {seconds:.1f} s; goodput {goodput:.0f}/s, plateau {plateau:.0f}/s "
        f"({goodput / plateau:.0%}); retries {retries:.0f}; the router grew by {grown_mib:.0f} MiB"
    )
    assert {each.end for each in heard} <= {End.DONE, End.REFUSED}
    refused = [each for each in heard if each.end is End.REFUSED]
    # Of a very large herd some stand in line for as long as one may.
    assert all(each.status in {429, 503} and "retry-after" in each.headers for each in refused)
    assert goodput >= 0.8 * plateau
    assert retries <= 0.2 * len(heard)
    assert grown_mib < 64 + 2 * HERD * BYTES_PER_CLIENT / 2**20


@asynccontextmanager
async def asked_all_the_time(callers: Callers, *, pause_seconds: float) -> AsyncIterator[list[Heard]]:
    """Calls by four callers as long as the block lasts, and everything that they heard."""
    heard: list[Heard] = []
    over = asyncio.Event()

    async def caller(number: int) -> None:
        while not over.is_set():
            heard.append(await callers.ask(stream=number % 2 == 0))
            await asyncio.sleep(pause_seconds)

    calling = [asyncio.create_task(caller(number)) for number in range(4)]
    yield heard
    over.set()
    await asyncio.gather(*calling)


async def test_row_24_calls_go_on_without_the_log_and_are_all_put_down_afterwards(site: RouterSite) -> None:
    router, url = await site.router("router-24")
    job, callers = await site.job(
        url, replicas=2, first_token_seconds=0.01, tokens_per_second=200, completion_tokens=5
    )
    nats = site.services.nats
    async with asked_all_the_time(callers, pause_seconds=0.2) as heard:
        await until(lambda: len(heard) >= 4, "calls are answered")
        away_from = time.monotonic()
        nats.freeze()
        try:
            # How long it is away is what is tested, here and below.
            await asyncio.sleep(PARTITION_SECONDS / 2)
        finally:
            nats.thaw()
        nats.kill()
        await asyncio.sleep(PARTITION_SECONDS / 2)
        nats.start()
        back_at = time.monotonic()
        await until(lambda: sum(each.began > back_at for each in heard) >= 4, "calls go on")

    meanwhile = [each for each in heard if away_from < each.began < back_at]
    errors = [each for each in heard if each.end is not End.DONE]
    slowest = max(each.seconds for each in meanwhile)
    records = await site.usage_of(job, requests=len(heard), timeout_seconds=60)
    counted, witnessed = (
        sum(each.completion_tokens or 0 for each in records),
        sum(each.words for each in heard),
    )
    print(
        f"row 24: NATS away for {back_at - away_from:.0f} s: {len(meanwhile)} calls meanwhile, {len(errors)} errors, "
        f"the slowest took {slowest:.2f} s; {counted} tokens put down, {witnessed} witnessed"
    )
    assert errors == []
    assert len(meanwhile) > PARTITION_SECONDS
    assert sorted(each.request_id for each in records) == sorted(each.request_id for each in heard)
    assert counted == witnessed
    assert router.process.poll() is None
