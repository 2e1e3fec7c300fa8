"""A real Valkey, and limiters on it that run as a router runs them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from hostler_domain.limits import Limits
from hostler_kit.clock import SystemClock
from hostler_kit.valkey import open_valkey
from hostler_router.limit_rules import Verdict
from hostler_router.limits import Limiter
from hostler_router.limits_store import ROUND_TRIP_SECONDS_MAX, LimitStore
from tests.support.valkey_server import ValkeyServer

# Far above the product's own 5 ms: what a test wants from Valkey it must get from a machine that is busy, too.
PATIENT_SECONDS = 5.0
LEASE_SECONDS = 30.0
KEY, PROJECT = "01939e00-0000-7000-8000-000000000001", "team"


@pytest.fixture(scope="module")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.remove()


@pytest.fixture
def valkey(shared_valkey: ValkeyServer) -> ValkeyServer:
    """A real server with nothing in it; don't stop it."""
    with shared_valkey.client() as client:
        client.flushall()
    return shared_valkey


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A real server for this test alone, to be killed and frozen."""
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.remove()


def store_on(server: ValkeyServer, *, lease_seconds: float = LEASE_SECONDS) -> LimitStore:
    timeout_seconds = max(ROUND_TRIP_SECONDS_MAX, PATIENT_SECONDS)
    return LimitStore(
        open_valkey(SecretStr(server.url), timeout_seconds=timeout_seconds), lease_seconds=lease_seconds
    )


@asynccontextmanager
async def limiter_on(
    store: LimitStore | None,
    *,
    timeout_seconds: float = PATIENT_SECONDS,
    lease_seconds: float = LEASE_SECONDS,
    routers: int = 1,
) -> AsyncIterator[Limiter]:
    """One router's limiter, with its loops running."""
    limiter = Limiter(
        store,
        clock=SystemClock(),
        routers=lambda: routers,
        timeout_seconds=timeout_seconds,
        lease_seconds=lease_seconds,
        logger=structlog.get_logger(),
    )
    running = asyncio.create_task(limiter.run())
    try:
        yield limiter
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await limiter.close()


async def first_verdict(limiter: Limiter, limits: Limits, *, tokens: int = 0, admitted: bool) -> Verdict:
    """The first verdict of that kind; there is nothing that tells when a limit has room, or has none any more."""
    async with asyncio.timeout(20):
        while True:
            verdict = await limiter.admit(KEY, limits, PROJECT, None, tokens)
            if verdict.admitted is admitted:
                return verdict
            await asyncio.sleep(0.01)


MakeLimiter = Callable[..., Awaitable[Limiter]]


@pytest.fixture
async def make_limiter(valkey: ValkeyServer) -> AsyncIterator[MakeLimiter]:
    """Makes limiters of one installation, each as of its own router."""
    async with AsyncExitStack() as stack:

        async def make(*, lease_seconds: float = LEASE_SECONDS, routers: int = 1) -> Limiter:
            store = store_on(valkey, lease_seconds=lease_seconds)
            return await stack.enter_async_context(
                limiter_on(store, lease_seconds=lease_seconds, routers=routers)
            )

        yield make
