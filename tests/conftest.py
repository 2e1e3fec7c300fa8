"""Fixtures that more than one kind of test uses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.kubernetes.cluster import FakeCluster, running
from tests.support.manual_clock import ManualClock
from tests.support.nats_server import NatsServer

# Before the first asynchronous test pytest-asyncio asks for the thread's loop, gets one made, and never closes it; whichever
# test runs when it is collected would be blamed. A thread whose loop was set, to none, gets none made.
asyncio.set_event_loop(None)


@pytest.fixture(scope="session", autouse=True)
def main_thread_loop() -> Iterator[None]:
    """An event loop of the main thread that somebody closes.

    pytest-asyncio asks for one before the first test, which makes it, and puts it back after each; whatever sets another in between
    would leave it to the garbage collector, whose complaint then fails a test that has nothing to do with it.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


@pytest.fixture(scope="session")
def shared_nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def nats_server(shared_nats_server: NatsServer) -> NatsServer:
    """A real server with nothing in it. Don't stop it: other tests use the same process."""
    await shared_nats_server.wipe()
    return shared_nats_server


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A real server for this test alone, to be killed, frozen and started again."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def manual_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def kubernetes_cluster() -> AsyncIterator[FakeCluster]:
    """A fake Kubernetes with two nodes of eight GPUs, on a port of its own, with a fake KubeVirt that is quick."""
    async with running() as cluster:
        yield cluster
