"""A real Valkey, and limiters on it that run as a router runs them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from hostler_router.limits import Limiter
from tests.support.limits import LEASE_SECONDS, limiter_on, store_on
from tests.support.valkey_server import ValkeyServer


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


MakeLimiter = Callable[..., Awaitable[Limiter]]


@pytest.fixture
async def make_limiter(valkey: ValkeyServer) -> AsyncIterator[MakeLimiter]:
    """Makes limiters of one installation, each as of its own router."""
    async with AsyncExitStack() as stack:

        async def make(*, lease_seconds: float = LEASE_SECONDS, routers: int = 1) -> Limiter:
            store = store_on(valkey.url, lease_seconds=lease_seconds)
            return await stack.enter_async_context(
                limiter_on(store, lease_seconds=lease_seconds, routers=routers)
            )

        yield make
