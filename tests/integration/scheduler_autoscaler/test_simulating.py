"""A simulation as a user asks for it: over the API, a real NATS server and an autoscaler, which replays in a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx2
import pytest
import structlog

from hostler_api.bootstrap import write_admin_key, write_shipped_catalogue
from hostler_autoscaler.what_if.answers import SimulationAnswers
from hostler_bus.job_log import JobLog
from hostler_bus.nats_bus import NatsBus, connect
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_contracts.decisions import ScalingDecidedV1, encode_decision
from hostler_domain.api_keys import make_key
from hostler_kit.clock import SystemClock
from hostler_kit.ids import new_id
from tests.support.api import running_api
from tests.support.builders import JOB_ID, NOW, created
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer
from tests.support.recorded_life import END, RECORDED_SCALING, lived

pytestmark = pytest.mark.integration

PASSWORDS = {name: f"password-of-{name}" for name in ("operator", "api", "autoscaler")}
ADMIN_KEY = make_key(b"a" * 32)
PATH = f"/v1/jobs/{JOB_ID}/simulate"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("simulating"), PASSWORDS)
    server.start()
    yield server
    server.remove()


async def connected(server: NatsServer, service: str) -> NatsBus:
    return await connect(
        server.url, user=service, password=PASSWORDS[service], name=f"{service}-1", declare=service == "api"
    )


@pytest.fixture
async def client(server: NatsServer) -> AsyncIterator[httpx2.AsyncClient]:
    """An api that knows one job, with the admin's key."""
    bus = await connected(server, "api")
    await write_shipped_catalogue(bus, NOW)
    await write_admin_key(bus, ADMIN_KEY, NOW)
    log = JobLog(bus, source="/hostler/test", clock=SystemClock())
    await log.execute("default", JOB_ID, lambda _: (created(scaling=RECORDED_SCALING),))
    async with running_api(bus, timeout_seconds=120) as api:
        api.client.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        yield api.client
    await bus.drain()


@asynccontextmanager
async def answering(server: NatsServer) -> AsyncIterator[NatsBus]:
    bus = await connected(server, "autoscaler")
    jobs = JobProjection()
    answers = SimulationAnswers(bus, jobs, SystemClock(), structlog.get_logger())
    tasks = [asyncio.create_task(work) for work in (jobs.run(bus), answers.run())]
    try:
        await eventually(lambda: jobs.get(JOB_ID) is not None)
        yield bus
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bus.drain()


async def record_a_life(bus: NatsBus) -> None:
    """The records of some hours that end now."""
    later = datetime.now(UTC) - END
    for record in lived()[0]:
        moved = record.model_copy(
            update={
                "at": record.at + later,
                "observation": {
                    **record.observation,
                    "now": (record.at + later).isoformat(),
                },
            }
        )
        event = ScalingDecidedV1(
            id=new_id(), source="/test", subject=JOB_ID, time=moved.at, project="default", data=moved
        )
        await bus.append(subjects.decisions("default", JOB_ID), encode_decision(event), msg_id=event.id)


async def asked(client: httpx2.AsyncClient, **body: object) -> httpx2.Response:
    """The answer; an autoscaler answers as soon as its task has run."""
    while True:
        answer = await client.post(PATH, json=body)
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(0.05)


async def test_a_simulation_compares_what_was_with_what_would_have_been(
    server: NatsServer, client: httpx2.AsyncClient
) -> None:
    async with answering(server) as bus:
        await record_a_life(bus)
        # A record is kept under the time at which it came, so all of them came within the hour.
        answer = await asked(client, since_seconds=4 * 3600, target_rps=6.0, policy="hostler")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["requests"] > 10_000
        assert found["engine"]["alpha_ms"] == pytest.approx(20, rel=0.25)
        assert found["scaling"]["targets"][0]["threshold"] == 6.0
        assert found["was"]["replica_hours"] > 0
        assert found["was"]["replica_hours"] != found["would"]["replica_hours"]
        assert found["would"]["cost"] == pytest.approx(
            found["would"]["replica_hours"] * found["price_per_hour"]
        )
        other = await asked(client, since_seconds=3600, policy="max")
        # Its rule is asked once a minute, and has nothing to go by in the first.
        assert {point["wanted"] for point in other.json()["would"]["points"][3:]} == {8}


async def test_what_can_not_be_replayed_is_told(server: NatsServer, client: httpx2.AsyncClient) -> None:
    async with answering(server):
        answer = await asked(client)
        assert answer.status_code == 409
        assert "no decision about its number of replicas is recorded since" in answer.json()["detail"]
        wrong = await asked(client, scaling={"max_replicas": 0})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "scaling.max_replicas")
        assert (await asked(client, policy="magic")).status_code == 400
        assert (await asked(client, since_seconds=10**6)).status_code == 400


async def test_without_an_autoscaler_there_is_no_answer_now(client: httpx2.AsyncClient) -> None:
    assert (await client.post(PATH, json={})).status_code == 503
