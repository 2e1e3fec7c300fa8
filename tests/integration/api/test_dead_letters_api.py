"""Dead letters as an admin meets them: listed without bodies, shown, replayed, discarded, and closed to everybody else."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
import structlog

from hostler_bus.consume import consume
from hostler_bus.port import ConsumerSpec, Message
from hostler_contracts import subjects
from hostler_domain.errors import PermanentError
from tests.integration.api.conftest import ADMIN_KEY, READ_KEY, TEAM_KEY, Site
from tests.support.eventually import eventually

LEDGER = ConsumerSpec("ledger", subjects.JOBS, subjects.JOBS_SUBJECTS)


class Ledger:
    """A consumer of the test's own, with a bug until it is fixed."""

    def __init__(self) -> None:
        self.fixed = False
        self.done: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if not self.fixed:
            raise PermanentError("no such price")
        self.done.append(message.data)


@pytest.fixture
async def ledger(site: Site) -> AsyncIterator[Ledger]:
    """It has given up three messages."""
    ledger = Ledger()
    for number in range(3):
        subject = subjects.job_event("p", f"j{number}", "replica.ready")
        await site.bus.append(subject, f"poison {number}".encode(), msg_id=str(number))
    running = asyncio.create_task(consume(site.bus, LEDGER, ledger, structlog.get_logger()))
    await eventually(lambda: waiting(site) == 3)
    yield ledger
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def waiting(site: Site) -> float | None:
    return site.registry.get_sample_value("hostler_dead_letters")


async def post(site: Site, path: str, key: str = ADMIN_KEY) -> httpx2.Response:
    return await site.client.post(path, headers={"Authorization": f"Bearer {key}"})


async def test_a_list_has_every_letter_once_latest_first_and_no_body(site: Site, ledger: Ledger) -> None:
    seen: list[dict[str, object]] = []
    after = ""
    while True:
        page = (await site.get(f"/v1/dead-letters?limit=2{after}")).json()
        seen += page["data"]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert [each["id"] for each in seen] == ["JOBS.ledger.3", "JOBS.ledger.2", "JOBS.ledger.1"]
    assert {(each["state"], each["reason"]) for each in seen} == {("Waiting", "no such price")}
    assert not any("body" in each for each in seen)


async def test_a_letter_is_shown_with_its_message(site: Site, ledger: Ledger) -> None:
    letter = (await site.get("/v1/dead-letters/JOBS.ledger.2")).json()
    assert (letter["body"], letter["body_encoding"], letter["subject"]) == (
        "poison 1",
        "utf-8",
        "hostler.jobs.p.j1.replica-ready",
    )


async def test_a_replay_reaches_the_mended_consumer_and_is_on_record(site: Site, ledger: Ledger) -> None:
    ledger.fixed = True
    answer = await post(site, "/v1/dead-letters/JOBS.ledger.2/replay")
    assert (answer.status_code, answer.json()["state"]) == (202, "Replayed")
    assert answer.json()["handled_by"]
    assert answer.json()["handled_at"]
    await eventually(lambda: ledger.done == [b"poison 1"])
    await eventually(lambda: waiting(site) == 2)
    assert (await post(site, "/v1/dead-letters/JOBS.ledger.2/replay")).json() == answer.json()
    left = (await site.get("/v1/dead-letters?state=Waiting&consumer=ledger")).json()["data"]
    assert [each["id"] for each in left] == ["JOBS.ledger.3", "JOBS.ledger.1"]
    assert ledger.done == [b"poison 1"]


async def test_a_discarded_letter_counts_no_more_and_can_be_read(site: Site, ledger: Ledger) -> None:
    assert (await post(site, "/v1/dead-letters/JOBS.ledger.1/discard")).json()["state"] == "Discarded"
    await eventually(lambda: waiting(site) == 2)
    assert (await site.get("/v1/dead-letters/JOBS.ledger.1")).json()["body"] == "poison 0"


async def test_a_letter_that_there_is_not_is_a_404(site: Site, ledger: Ledger) -> None:
    for path in ("JOBS.ledger.9", "nonsense", "J%20S.%2A.1"):
        assert (await site.get(f"/v1/dead-letters/{path}")).status_code == 404
        assert (await post(site, f"/v1/dead-letters/{path}/replay")).status_code == 404


@pytest.mark.parametrize("key", [TEAM_KEY, READ_KEY])
async def test_whoever_is_no_admin_sees_and_does_nothing(site: Site, ledger: Ledger, key: str) -> None:
    answers = [
        await site.get("/v1/dead-letters", key),
        await site.get("/v1/dead-letters/JOBS.ledger.1", key),
        await post(site, "/v1/dead-letters/JOBS.ledger.1/replay", key),
        await post(site, "/v1/dead-letters/JOBS.ledger.1/discard", key),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert not any("poison" in answer.text for answer in answers)
    assert waiting(site) == 3
