from collections.abc import AsyncIterator

import pytest

from tests.integration.router.harness import Harness, running_router
from tests.integration.router.replicas import Replica, replica


@pytest.fixture
async def router() -> AsyncIterator[Harness]:
    async with running_router(stall_timeout_seconds=0.2) as harness:
        yield harness


@pytest.fixture
async def first() -> AsyncIterator[Replica]:
    async with replica() as started:
        yield started


@pytest.fixture
async def second() -> AsyncIterator[Replica]:
    async with replica() as started:
        yield started
