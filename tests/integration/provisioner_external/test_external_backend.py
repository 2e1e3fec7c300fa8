"""Servers that somebody else runs: probed, found again, never touched."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from aiohttp import web

from hostler_bus.job_log import JobEntry
from hostler_bus.memory import MemoryBus
from hostler_bus.memory_server import MemoryServer
from hostler_bus.projection import JobProjection
from hostler_contracts import subjects
from hostler_domain.capacity import Resources
from hostler_domain.errors import PermanentError
from hostler_domain.external import ExternalServers
from hostler_domain.job import Job, Placement
from hostler_kit.clock import SystemClock
from hostler_kit.secret_key import SecretKey
from hostler_provisioner.backend import Step
from hostler_provisioner.external.backend import ExternalBackend
from hostler_provisioner.launches import Launches
from tests.support.builders import JOB_ID, created, fold, ready, scheduled

pytestmark = pytest.mark.integration

KEY = "the-servers-own-key"
SECRET = f"upstream-key.{JOB_ID}"


class Server:
    """A server of another's, which counts what it is asked and answers as it is told."""

    def __init__(self) -> None:
        self.health_status = 200
        self.models_status = 200
        self.keys: list[str | None] = []
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return runner

    async def _health(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("authorization"))
        return web.Response(status=self.health_status)

    async def _models(self, request: web.Request) -> web.Response:
        return web.Response(status=self.models_status)


class Site:
    """A job log with one job, the secrets, and backends on them."""

    def __init__(self) -> None:
        self.bus = MemoryBus(MemoryServer(SystemClock()))
        self.secret_key = SecretKey(bytes(32))
        self.secrets = self.bus.bucket(subjects.BUCKET_SECRETS)
        self.launches = Launches(self.secrets, self.secret_key)
        self.jobs = JobProjection()
        self.backends: list[ExternalBackend] = []

    def job(self, url: str, *changes: object) -> Job:
        place = Placement("external", "endpoint-0", Resources())
        servers = ExternalServers((url,), None, SECRET)
        made = created(runtime="external", hardware_profile="external", external=servers, maximum=1)
        job = fold(made, scheduled("r1", placement=place), *changes)  # type: ignore[arg-type]  # changes
        self.jobs.apply(JobEntry(job, len(self.jobs.jobs) + len(changes) + 1))
        return job

    def backend(self) -> ExternalBackend:
        self.backends.append(
            ExternalBackend(
                self.jobs,
                self.launches,
                clock=SystemClock(),
                logger=structlog.get_logger(),
                probe_seconds=0.02,
                probe_timeout_seconds=0.5,
            )
        )
        return self.backends[-1]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.secrets.put(SECRET, made.secret_key.seal(SECRET, KEY))
    yield made
    for backend in made.backends:
        await backend.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    runner = await made.start()
    yield made
    await runner.cleanup()


async def step(backend: ExternalBackend, wanted: Step) -> str:
    """Wait until the one replica is at this step; its detail."""
    async with asyncio.timeout(10):
        while True:
            backend.changed.clear()
            (seen,) = await backend.observe()
            if seen.step is wanted:
                return seen.detail
            await backend.changed.wait()


async def test_a_server_is_ready_unhealthy_and_ready_again_as_it_answers(site: Site, server: Server) -> None:
    job = site.job(server.url)
    backend = site.backend()
    await backend.start(await site.launches.launch(job, job.replicas[0]))

    await step(backend, Step.READY)
    (seen,) = await backend.observe()
    assert seen.endpoint_url == server.url
    assert set(server.keys) == {f"Bearer {KEY}"}
    server.health_status = 500
    assert "answers with status 500" in await step(backend, Step.UNHEALTHY)
    server.health_status = 200
    await step(backend, Step.READY)


@pytest.mark.parametrize("status", [404, 401])
async def test_a_server_without_a_health_page_is_asked_for_its_models(
    site: Site, server: Server, status: int
) -> None:
    server.health_status = status
    job = site.job(server.url)
    backend = site.backend()
    await backend.start(await site.launches.launch(job, job.replicas[0]))
    await step(backend, Step.READY)


async def test_a_server_that_refuses_the_key_is_not_ready_and_says_so(site: Site, server: Server) -> None:
    server.health_status = server.models_status = 401
    job = site.job(server.url)
    backend = site.backend()
    await backend.start(await site.launches.launch(job, job.replicas[0]))
    assert "refuses the key" in await step(backend, Step.LOADING)


async def test_another_provisioner_sees_at_its_first_look_what_served_before(
    site: Site, server: Server
) -> None:
    site.job(server.url, ready("r1"))
    (seen,) = await site.backend().observe()
    assert (seen.replica_id, seen.step, seen.endpoint_url) == ("r1", Step.READY, server.url)


async def test_one_that_served_and_is_gone_is_unhealthy_at_the_first_look(site: Site) -> None:
    site.job("http://127.0.0.1:9", ready("r1"))
    (seen,) = await site.backend().observe()
    assert seen.step is Step.UNHEALTHY
    assert "does not answer" in seen.detail


async def test_one_whose_key_is_lost_is_gone_and_says_so(site: Site, server: Server) -> None:
    site.job(server.url, ready("r1"))
    await site.secrets.delete(SECRET)
    (seen,) = await site.backend().observe()
    assert seen.step is Step.GONE
    assert "key for its servers" in seen.detail


async def test_stopping_forgets_the_server_and_leaves_it_alone(site: Site, server: Server) -> None:
    job = site.job(server.url)
    backend = site.backend()
    await backend.start(await site.launches.launch(job, job.replicas[0]))
    await step(backend, Step.READY)
    await backend.stop("r1", 1)
    asked = len(server.keys)

    assert await backend.observe() == ()
    assert asked > 0
    assert server.health_status == 200


async def test_a_key_that_is_not_stored_any_more_is_said(site: Site, server: Server) -> None:
    job = site.job(server.url)
    await site.secrets.delete(SECRET)
    with pytest.raises(PermanentError, match="key for its servers"):
        await site.launches.launch(job, job.replicas[0])


async def test_the_key_is_not_in_what_a_launch_shows_of_itself(site: Site, server: Server) -> None:
    job = site.job(server.url)
    assert KEY not in repr(await site.launches.launch(job, job.replicas[0]))
