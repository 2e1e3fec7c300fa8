"""Replicas that listen elsewhere than on 127.0.0.1; 127.0.0.2 is loopback as well, and another address."""

import sys

import aiohttp
import pytest

from hostler_provisioner.backend import Step
from tests.integration.provisioner_local.local_site import launch, step_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8"),
]


@pytest.mark.parametrize(
    "wish", [launch(), launch(runtime="simulated", model="any/model", args=())], ids=["llamacpp", "simulated"]
)
async def test_a_replica_listens_where_it_was_told_to_and_nowhere_else(site, wish):
    site.settings |= {"bind_address": "127.0.0.2", "host": "replicas.example"}
    backend = site.backend()
    await backend.start(wish)
    seen, _ = await step_of(backend, wish.replica_id, Step.READY, Step.GONE)
    assert seen.step is Step.READY, seen.detail
    name, port = seen.endpoint_url.rsplit(":", 1)
    assert name == "http://replicas.example"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.2:{port}/health") as answer:
            assert answer.status == 200
        # The server itself asks for the replica's key, whoever can reach it.
        async with session.get(f"http://127.0.0.2:{port}/metrics") as answer:
            assert answer.status == 401
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://127.0.0.1:{port}/health")
