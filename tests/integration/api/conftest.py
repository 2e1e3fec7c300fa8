"""An api on a memory bus: the real application, its real projections, requests through ASGI."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import structlog
from prometheus_client import CollectorRegistry

from hostler_api.access import Gate
from hostler_api.app import Parts, create_app
from hostler_api.bootstrap import write_admin_key, write_shipped_catalogue
from hostler_api.catalogues import Catalogues
from hostler_api.events import EventFeed
from hostler_api.jobs import JobService
from hostler_api.sessions import Sessions
from hostler_bus.job_log import JobLog
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey, Scope
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_kit.clock import SystemClock
from hostler_kit.ops import Readiness
from hostler_kit.secret_key import SecretKey
from tests.support.builders import NOW
from tests.support.eventually import eventually
from tests.support.recorded_history import RecordedHistory

ADMIN_KEY = make_key(b"a" * 32)
TEAM_KEY = make_key(b"t" * 32)
READ_KEY = make_key(b"r" * 32)


@dataclass
class Site:
    """One api with everything around it."""

    bus: MemoryBus
    log: JobLog
    jobs: JobProjection
    client: httpx2.AsyncClient
    secret_key: SecretKey
    history: RecordedHistory

    async def post(self, body: dict[str, object], key: str = ADMIN_KEY, **headers: str) -> httpx2.Response:
        return await self.client.post(
            "/v1/jobs", json=body, headers={"Authorization": f"Bearer {key}", **headers}
        )

    async def get(self, path: str, key: str = ADMIN_KEY, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers={"Authorization": f"Bearer {key}", **headers})

    async def delete(self, path: str, key: str = ADMIN_KEY) -> httpx2.Response:
        return await self.client.delete(path, headers={"Authorization": f"Bearer {key}"})


async def _store_key(bus: MemoryBus, key: str, project: str, scopes: tuple[Scope, ...]) -> None:
    record = ApiKey(
        key_id=f"key-of-{project}",
        name=project,
        project=project,
        key_hash=hash_key(key),
        prefix=display_prefix(key),
        scopes=scopes,
        created_at=NOW,
    )
    await bus.bucket(subjects.BUCKET_API_KEYS).put(record.key_hash, catalogue.API_KEYS.encode(record))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    clock = SystemClock()
    bus = MemoryBus(MemoryServer(clock=clock))
    secret_key = SecretKey(b"s" * 32)
    await write_shipped_catalogue(bus, NOW)
    await write_admin_key(bus, ADMIN_KEY, NOW)
    await _store_key(bus, TEAM_KEY, "team", ("jobs:read", "jobs:write"))
    await _store_key(bus, READ_KEY, "default", ("jobs:read",))
    log = JobLog(bus, source="/hostler/api/test", clock=clock)
    jobs = JobProjection()
    history = RecordedHistory()
    catalogues = Catalogues()
    tasks = [asyncio.create_task(each.run(bus)) for each in (jobs, *(one for _, one in catalogues.all()))]
    await eventually(lambda: jobs.caught_up and catalogues.caught_up)
    app = create_app(
        Parts(
            jobs=JobService(bus, log, jobs, catalogues, secret_key, clock),
            feed=EventFeed(bus, idle_seconds=15, stopping=asyncio.Event()),
            gate=Gate(catalogues.keys.records, clock, sessions=Sessions(secret_key)),
            catalogues=catalogues,
            history=history,
            readiness=Readiness(),
        ),
        logger=structlog.get_logger(),
        clock=clock,
        registry=CollectorRegistry(),
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield Site(bus, log, jobs, client, secret_key, history)
    await bus.drain()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
