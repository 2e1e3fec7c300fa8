"""Two routers as processes on a NATS with a stack's users: what one has on a replica, the other leaves room for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from tests.faults.callers import Callers, all_begun
from tests.faults.router_site import RouterSite, router_site
from tests.support.services import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STREAMS = 20


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[RouterSite]:
    with router_site(tmp_path) as place:
        async with place.connected():
            yield place


def ready_replicas(callers: Callers) -> int:
    headers = {"Authorization": f"Bearer {callers.key}"}
    found = httpx2.get(f"{callers.url}/v1/models/{callers.model}", headers=headers)
    return int(found.json()["meta"]["ready_replicas"]) if found.status_code == 200 else 0


@pytest.mark.parametrize(
    ("period_seconds", "least", "most"),
    [(0.15, STREAMS - 3, STREAMS), (0.0, STREAMS // 2, STREAMS // 2)],
    ids=["told", "switched off"],
)
async def test_a_router_sends_its_requests_where_the_other_has_none(
    site: RouterSite, period_seconds: float, least: int, most: int
) -> None:
    presence = {"presence_ttl_seconds": 1, "load_gossip_seconds": period_seconds}
    _, first_url = await site.router("router-1", **presence)
    _, second_url = await site.router("router-2", **presence)
    job, callers = await site.job(
        first_url, replicas=1, first_token_seconds=0.05, tokens_per_second=2, completion_tokens=2000
    )
    calls = await callers.open_many(STREAMS)
    await all_begun(calls, words=1)
    new = site.start_replica(
        f"{job.job_id}-r2", first_token_seconds=0.05, tokens_per_second=2, completion_tokens=2000
    )
    await until(new.healthy, "the second replica serves")
    await site.ready(job, new)
    there = replace(callers, url=second_url)
    await until(lambda: ready_replicas(there) == 2, "the second router knows both")
    # One after the other for a second, which is long enough for news.
    later = []
    for _ in range(STREAMS):
        later.append(await there.open())
        await all_begun(later, words=1)
    running = [await asyncio.to_thread(each.running) for each in job.replicas]
    print(f"{STREAMS} streams of router-1 on one replica, then {STREAMS} through router-2: {running}")
    for call in [*calls, *later]:
        call.hang_up()
    # Without news it halves its own, whatever the other has.
    assert least <= running[1] <= most
