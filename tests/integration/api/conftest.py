"""An api on a memory bus: the real application, its real projections, requests through ASGI."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import structlog
from prometheus_client import CollectorRegistry

from hostler_api.access import Gate
from hostler_api.app import create_app
from hostler_api.bootstrap import write_admin_key, write_shipped_catalogue
from hostler_api.dead_letters import DeadLetters
from hostler_api.events import EventFeed
from hostler_api.jobs import JobService
from hostler_bus.dead_letters import DeadLetterBook, collect
from hostler_bus.job_log import JobLog
from hostler_bus.letter_projection import LetterProjection
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import CatalogueProjection, JobProjection
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey, Scope
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_kit.clock import SystemClock
from hostler_kit.ops import Readiness
from hostler_kit.secret_key import SecretKey
from tests.support.builders import NOW
from tests.support.eventually import eventually

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
    registry: CollectorRegistry
    keys: CatalogueProjection[ApiKey]

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
    await write_shipped_catalogue(bus)
    await write_admin_key(bus, ADMIN_KEY, NOW)
    await _store_key(bus, TEAM_KEY, "team", ("jobs:read", "jobs:write"))
    await _store_key(bus, READ_KEY, "default", ("jobs:read",))
    log = JobLog(bus, source="/hostler/api/test", clock=clock)
    jobs = JobProjection()
    masters = CatalogueProjection(subjects.BUCKET_MODEL_MASTERS, catalogue.MODEL_MASTERS)
    profiles = CatalogueProjection(subjects.BUCKET_HARDWARE_PROFILES, catalogue.HARDWARE_PROFILES)
    keys = CatalogueProjection(subjects.BUCKET_API_KEYS, catalogue.API_KEYS)
    letters = LetterProjection(clock.now)
    book = DeadLetterBook(bus, source="/hostler/api/test", clock=clock)
    projections = (jobs, masters, profiles, keys, letters)
    tasks = [asyncio.create_task(each.run(bus)) for each in projections]
    tasks.append(asyncio.create_task(collect(bus, book, structlog.get_logger())))
    await eventually(lambda: all(each.caught_up for each in projections))
    registry = CollectorRegistry()
    app = create_app(
        JobService(bus, log, jobs, masters, profiles, secret_key, clock),
        EventFeed(bus, idle_seconds=15, stopping=asyncio.Event()),
        Gate(keys.records, clock, caught_up=lambda: all(each.caught_up for each in projections)),
        Readiness(),
        DeadLetters(book, letters),
        logger=structlog.get_logger(),
        clock=clock,
        registry=registry,
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield Site(bus, log, jobs, client, secret_key, registry, keys)
    await bus.drain()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
