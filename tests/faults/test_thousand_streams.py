"""Many streams through the sudden death of half of the replicas: none ends without a word, and the bill is what the callers saw.

200 streams here, as many as HOSTLER_TEST_STREAMS says elsewhere; 1,000 is what is promised. Ten more hang up on their own, so that not only whole streams are in the bill.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from hostler_provisioner.local.simulated_server import answer_words
from tests.faults.callers import End, all_begun, all_heard, ends
from tests.faults.router_site import RouterSite, router_site
from tests.support.services import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STREAMS = int(os.environ.get("HOSTLER_TEST_STREAMS", "200"))
REPLICAS = 4
TOKENS_PER_SECOND = 2000 / STREAMS
"""So that 2,000 events a second come, however many streams there are: simulated replicas share the machine with the router."""
WORDS = max(int(TOKENS_PER_SECOND * 8), 12)
HANGING_UP = 10


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterSite]:
    with router_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
async def site(place: RouterSite) -> AsyncIterator[RouterSite]:
    async with place.connected():
        yield place


async def test_streams_through_the_death_of_half_of_the_replicas_end_well_and_are_put_down_once(
    site: RouterSite,
) -> None:
    router, url = await site.router("router-1")
    job, callers = await site.job(
        url, replicas=REPLICAS, tokens_per_second=TOKENS_PER_SECOND, completion_tokens=WORDS
    )
    calls = await callers.open_many(STREAMS)
    leaving = await callers.open_many(HANGING_UP)
    await all_begun([*calls, *leaving], words=3)
    for call in leaving:
        call.hang_up()
    for replica in job.replicas[: REPLICAS // 2]:
        replica.process.kill()
    heard, left = await all_heard(calls), await all_heard(leaving)
    records = {each.request_id: each for each in await site.usage_of(job, requests=STREAMS + HANGING_UP)}

    resumed = sum(each.resumed for each in heard)
    hit = resumed + sum(each.end is not End.DONE for each in heard)
    billed = sum(records[each.request_id].completion_tokens or 0 for each in heard)
    witnessed = sum(each.words for each in heard)
    print(
        f"{STREAMS} streams, {REPLICAS // 2} of {REPLICAS} replicas killed: {ends(heard)}; {hit} were hit, "
        f"{resumed} resumed ({resumed / max(hit, 1):.0%}); {billed} tokens in the bill, {witnessed} witnessed"
    )
    assert {each.end for each in heard} <= {End.DONE, End.ERROR, End.ABORTED}
    whole = "".join(answer_words(WORDS))
    assert {each.text for each in heard if each.end is End.DONE} == {whole}
    assert all(whole.startswith(each.text) for each in heard)
    assert hit > STREAMS / REPLICAS, "hardly any stream was on a replica that died"
    assert resumed == hit
    assert sorted(records) == sorted(each.request_id for each in [*heard, *left])
    assert billed == witnessed
    for each in left:
        assert each.words <= (records[each.request_id].completion_tokens or 0) <= WORDS
    await until(lambda: router.metric("hostler_router_in_flight") == 0, "nothing is counted as under way")
