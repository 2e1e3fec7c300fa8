"""An api on a memory bus: the real application, its real projections, requests through ASGI."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from hostler_api.access import Gate
from hostler_api.app import Parts, create_app
from hostler_api.audit import AuditLog, RefusedLogins
from hostler_api.bootstrap import write_admin_key, write_shipped_catalogue
from hostler_api.catalogues import Catalogues
from hostler_api.dead_letters import DeadLetters
from hostler_api.events import EventFeed
from hostler_api.history.reader import NoHistory
from hostler_api.jobs import JobService
from hostler_api.keys import KeyService
from hostler_api.projects import ProjectService
from hostler_api.record_kinds import master_service, profile_service
from hostler_api.sessions import Sessions
from hostler_api.usage import UsageTotals
from hostler_api.waits import JobWaits
from hostler_bus.dead_letters import DeadLetterBook, collect
from hostler_bus.job_log import JobLog
from hostler_bus.key_uses import KeyUses
from hostler_bus.letter_projection import LetterProjection
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey, Scope
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.catalogue import Project
from hostler_kit.clock import SystemClock
from hostler_kit.ops import Readiness
from hostler_kit.secret_key import SecretKey
from tests.support.builders import NOW
from tests.support.eventually import eventually

ADMIN_KEY = make_key(b"a" * 32)
TEAM_KEY = make_key(b"t" * 32)
READ_KEY = make_key(b"r" * 32)
KEEPER_KEY = make_key(b"k" * 32)


@dataclass
class Site:
    """One api with everything around it."""

    bus: MemoryBus
    log: JobLog
    jobs: JobProjection
    client: httpx2.AsyncClient
    secret_key: SecretKey
    registry: CollectorRegistry
    catalogues: Catalogues
    app: FastAPI
    keys: KeyService
    uses: KeyUses
    refused: RefusedLogins

    async def send(
        self, method: str, path: str, body: object = None, key: str = ADMIN_KEY, **headers: str
    ) -> httpx2.Response:
        """Any request; `body` is sent as JSON where there is one."""
        authorized = {"Authorization": f"Bearer {key}", **headers} if key else headers
        if body is None:
            return await self.client.request(method, path, headers=authorized)
        return await self.client.request(method, path, headers=authorized, json=body)

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
        key_id=f"key-of-{project}" if "keys:write" not in scopes else f"keeper-of-{project}",
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
    await _store_key(bus, KEEPER_KEY, "team", ("jobs:read", "keys:read", "keys:write"))
    await _store_key(bus, READ_KEY, "default", ("jobs:read",))
    team = Project("team", "project-team", NOW)
    await bus.bucket(subjects.BUCKET_PROJECTS).put(team.name, catalogue.PROJECTS.encode(team))
    log = JobLog(bus, source="/hostler/api/test", clock=clock)
    jobs = JobProjection()
    catalogues = Catalogues()
    usage = UsageTotals()
    letters = LetterProjection(clock.now)
    book = DeadLetterBook(bus, source="/hostler/api/test", clock=clock)
    running = (jobs, usage, letters, *(one for _, one in catalogues.all()))
    tasks = [asyncio.create_task(each.run(bus)) for each in running]
    tasks.append(asyncio.create_task(collect(bus, book, structlog.get_logger())))

    def all_caught_up() -> bool:
        return jobs.caught_up and letters.caught_up and catalogues.caught_up

    await eventually(lambda: all_caught_up() and usage.caught_up)
    registry = CollectorRegistry()
    audit = AuditLog(bus, source="/hostler/api/test", clock=clock)
    refused = RefusedLogins(audit, clock, structlog.get_logger())
    uses = KeyUses(bus, clock)
    sessions = Sessions(secret_key)
    keys = KeyService(bus, catalogues, audit, sessions, clock)
    app = create_app(
        Parts(
            jobs=JobService(bus, log, jobs, catalogues, secret_key, clock),
            feed=EventFeed(bus, idle_seconds=15, stopping=asyncio.Event()),
            gate=Gate(
                catalogues.keys.records,
                clock,
                caught_up=all_caught_up,
                sessions=sessions,
                on_admitted=lambda key: uses.note(key.key_id),
                on_refused=refused.note,
            ),
            keys=keys,
            waits=JobWaits(jobs, asyncio.Event()),
            projects=ProjectService(bus, catalogues, jobs, audit, clock),
            masters=master_service(bus, catalogues, audit),
            profiles=profile_service(bus, catalogues, jobs, audit),
            audit=audit,
            usage=usage,
            dead_letters=DeadLetters(book, letters),
            catalogues=catalogues,
            history=NoHistory(),
            readiness=Readiness(),
        ),
        logger=structlog.get_logger(),
        clock=clock,
        registry=registry,
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield Site(bus, log, jobs, client, secret_key, registry, catalogues, app, keys, uses, refused)
    await bus.drain()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
