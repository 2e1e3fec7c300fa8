"""The API servers of which every promise has to hold: the fake always, a real one where KUBECONFIG names it."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client, config

from tests.conformance.kubernetes.site import Site
from tests.support.kubernetes.cluster import running
from tests.support.kubernetes.config import ClusterConfig


def _targets() -> list[Any]:
    """Both run in CI where it has a cluster; without one the fake alone, and nothing is skipped for it."""
    return ["fake", *(["real"] if os.environ.get("KUBECONFIG") else [])]


@pytest.fixture(params=_targets())
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A namespace that is nobody else's, gone after the test. In the fake no VMI comes to life: its API is tested here."""
    configuration = client.Configuration()
    namespace = f"hostler-test-{uuid.uuid4().hex[:10]}"
    if request.param == "real":
        await config.load_kube_config(client_configuration=configuration)
        async with client.ApiClient(configuration) as api:
            core = client.CoreV1Api(api)
            await core.create_namespace({"metadata": {"name": namespace}})
            site = Site(api, namespace, None)
            try:
                yield site
            finally:
                await site.let_go()
                await core.delete_namespace(namespace)
        return
    async with running(ClusterConfig(virt_controller=False, history_max=200)) as cluster:
        path = cluster.kubeconfig(tmp_path / "kubeconfig")
        await config.load_kube_config(str(path), client_configuration=configuration)
        async with client.ApiClient(configuration) as api:
            await client.CoreV1Api(api).create_namespace({"metadata": {"name": namespace}})
            yield Site(api, namespace, cluster)
