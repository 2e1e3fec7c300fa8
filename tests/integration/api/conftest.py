"""An api on a memory bus: the real application, its real projections, requests through ASGI."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from hostler_api.audit import RefusedLogins
from hostler_api.bootstrap import write_admin_key, write_shipped_catalogue
from hostler_api.catalogues import Catalogues
from hostler_api.keys import KeyService
from hostler_bus.job_log import JobLog
from hostler_bus.key_uses import KeyUses
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import catalogue, subjects
from hostler_contracts.catalogue import ApiKey, Scope
from hostler_domain.api_keys import display_prefix, hash_key, make_key
from hostler_domain.catalogue import Project
from hostler_kit.clock import SystemClock
from hostler_kit.http import HttpServer
from hostler_kit.secret_key import SecretKey
from tests.support.api import SECRET_KEY, running_api
from tests.support.builders import NOW
from tests.support.recorded_history import RecordedHistory

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
    history: RecordedHistory

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
    await write_shipped_catalogue(bus, NOW)
    await write_admin_key(bus, ADMIN_KEY, NOW)
    await _store_key(bus, TEAM_KEY, "team", ("jobs:read", "jobs:write"))
    await _store_key(bus, KEEPER_KEY, "team", ("jobs:read", "keys:read", "keys:write"))
    await _store_key(bus, READ_KEY, "default", ("jobs:read",))
    team = Project("team", "project-team", NOW)
    await bus.bucket(subjects.BUCKET_PROJECTS).put(team.name, catalogue.PROJECTS.encode(team))
    history = RecordedHistory()
    async with running_api(bus, history=history) as api:
        made = api.assembly
        yield Site(
            bus,
            made.log,
            made.jobs,
            api.client,
            SECRET_KEY,
            api.registry,
            made.catalogues,
            api.app,
            made.keys,
            made.uses,
            made.refused,
            history,
        )
        await bus.drain()


@pytest.fixture
async def url(site: Site) -> AsyncIterator[str]:
    """The application on a real port, for clients that bring their own connections."""
    server = HttpServer(site.app, host="127.0.0.1", port=0, drain_timeout_seconds=1)
    await server.start()
    # The api shares this process with the command line, whose output is looked at.
    with structlog.testing.capture_logs():
        yield f"http://127.0.0.1:{server.port}"
    await server.stop()
