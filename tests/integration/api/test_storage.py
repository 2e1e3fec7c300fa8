"""The api on a real server that is full, frozen or gone: 503 with Retry-After, nothing half-done, and a 2xx only for what is stored.

The witness reads the stream by itself, with another connection (fault matrix, row 4).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
from nats.aio.client import Client

from hostler_api.bootstrap import write_admin_key, write_shipped_catalogue
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.topology import TOPOLOGY, Topology
from hostler_contracts import subjects
from tests.integration.api.conftest import ADMIN_KEY
from tests.support.api import running_api
from tests.support.builders import MODEL, NOW
from tests.support.nats_server import NatsServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ROOM_BYTES = 24 * 1024
"""For a handful of jobs."""
DISK_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 64 * 1024
_PLENTY = "max_file_store: 1GB"


def topology(bytes_max: int | None) -> Topology:
    """What an operator has who gave the log so much room."""
    streams = tuple(
        replace(stream, bytes_max=bytes_max) if stream.name == subjects.JOBS else stream
        for stream in TOPOLOGY.streams
    )
    return replace(TOPOLOGY, streams=streams)


@dataclass
class Storage:
    """An api and the server beneath it."""

    server: NatsServer
    client: httpx2.AsyncClient

    async def create(self, name: str) -> httpx2.Response:
        """Ask for a job under an idempotency key of its own."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": f"key-of-{name}"}
        return await self.client.post("/v1/jobs", json={"model": MODEL, "name": name}, headers=headers)

    async def witnessed(self) -> dict[str, str]:
        """Ids of the jobs whose creation is stored, by name."""
        bus = await bus_of(self.server, None, declare=False)
        created = subjects.job_events_of_kind("job.created")
        jobs = [
            json.loads(message.data)["data"]["job"] async for message in bus.history(subjects.JOBS, created)
        ]
        await bus.drain()
        assert len({job["spec"]["name"] for job in jobs}) == len(jobs), "a job was made twice"
        return {job["spec"]["name"]: job["job_id"] for job in jobs}


async def bus_of(server: NatsServer, bytes_max: int | None, *, declare: bool = True) -> NatsBus:
    return await connect(
        server.url,
        user=server.user,
        password=server.password,
        name="test",
        topology=topology(bytes_max),
        declare=declare,
    )


@asynccontextmanager
async def storage(server: NatsServer, bytes_max: int | None) -> AsyncIterator[Storage]:
    bus = await bus_of(server, bytes_max)
    await write_shipped_catalogue(bus, NOW)
    await write_admin_key(bus, ADMIN_KEY, NOW)
    async with running_api(bus, timeout_seconds=60) as api:
        yield Storage(server, api.client)
    await bus.drain()


def check_refusal(answer: httpx2.Response, slug: str) -> None:
    """A refusal that says when to come back."""
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["type"] == f"/problems/{slug}"
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_full_log_refuses_jobs_and_takes_the_same_request_when_there_is_room(
    own_nats_server: NatsServer,
) -> None:
    async with storage(own_nats_server, ROOM_BYTES) as site:
        answers = {f"job-{number}": await site.create(f"job-{number}") for number in range(30)}
        made = {name: answer for name, answer in answers.items() if answer.status_code == 202}
        refused = {name: answer for name, answer in answers.items() if answer.status_code != 202}
        assert made
        assert refused
        for answer in refused.values():
            check_refusal(answer, "storage-full")
        assert await site.witnessed() == {name: answer.json()["job_id"] for name, answer in made.items()}

        # A refused deletion leaves its job as it is.
        name = next(iter(made))
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        while (deleted := await site.client.delete(f"/v1/jobs/{name}", headers=headers)).status_code == 202:
            made.pop(name)
            name = next(iter(made))
        check_refusal(deleted, "storage-full")
        assert (await site.client.get(f"/v1/jobs/{name}", headers=headers)).json()["status"][
            "phase"
        ] == "Creating"

        roomier = await bus_of(own_nats_server, 100 * ROOM_BYTES)
        await roomier.drain()
        again = {name: await site.create(name) for name in answers}
        assert {answer.status_code for answer in again.values()} == {202}
        assert await site.witnessed() == {name: answer.json()["job_id"] for name, answer in again.items()}
        for name, answer in made.items():
            assert again[name].json()["job_id"] == answer.json()["job_id"]


@pytest.fixture
def small_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """One whose disk is soon full."""
    server = NatsServer(tmp_path)
    text = server.config.read_text()
    assert _PLENTY in text
    server.config.write_text(text.replace(_PLENTY, f"max_file_store: {DISK_BYTES}"))
    server.start()
    yield server
    server.kill()


async def test_a_server_without_disk_left_refuses_jobs_and_forgets_none(
    small_nats_server: NatsServer,
) -> None:
    """The whole account is full, so that not even the claim of the idempotency key has room."""
    async with storage(small_nats_server, None) as site:
        assert (await site.create("before")).status_code == 202
        filler = Client()
        server = small_nats_server
        await filler.connect(server.url, user=server.user, password=server.password)
        js = filler.jetstream()
        await js.add_stream(name="FILLER", subjects=["filler"])
        room = DISK_BYTES - (await js.account_info()).storage
        for _ in range(room // _BLOCK_BYTES):
            await js.publish("filler", bytes(_BLOCK_BYTES))
        answers = {f"job-{number}": await site.create(f"job-{number}") for number in range(100)}
        refused = {name: answer for name, answer in answers.items() if answer.status_code != 202}
        assert refused
        for answer in refused.values():
            check_refusal(answer, "storage-full")
        await js.delete_stream("FILLER")
        await filler.close()
        again = {name: await site.create(name) for name in answers}
        assert {answer.status_code for answer in again.values()} == {202}
        stored = await site.witnessed()
        assert stored.keys() == {"before", *answers}
        assert all(stored[name] == answer.json()["job_id"] for name, answer in again.items())


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_a_server_that_is_away_is_a_503_and_the_same_request_makes_one_job_when_it_is_back(
    own_nats_server: NatsServer, fault: str
) -> None:
    async with storage(own_nats_server, None) as site:
        assert (await site.create("before")).status_code == 202
        if fault == "frozen":
            own_nats_server.freeze()
        else:
            own_nats_server.kill()
        answers = await asyncio.gather(*(site.create(f"job-{number}") for number in range(5)))
        for answer in answers:
            check_refusal(answer, "unavailable")
        if fault == "frozen":
            own_nats_server.thaw()
        else:
            own_nats_server.start()
        made: dict[str, str] = {}
        async with asyncio.timeout(60):
            for number in range(5):
                while (answer := await site.create(f"job-{number}")).status_code != 202:
                    check_refusal(answer, "unavailable")
                    await asyncio.sleep(0.1)
                made[f"job-{number}"] = answer.json()["job_id"]
        stored = await site.witnessed()
        assert stored == made | {"before": stored["before"]}
