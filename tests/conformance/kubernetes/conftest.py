"""The API servers of which every promise has to hold: the fake always, a real one where KUBECONFIG names it."""

import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client, config

from tests.support.kubernetes.catalog import definitions_folder
from tests.support.kubernetes.cluster import FakeCluster, running
from tests.support.kubernetes.config import ClusterConfig

GROUP, VERSION, VMIS = "kubevirt.io", "v1", "virtualmachineinstances"


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster to test, a client of it, and a namespace that is nobody else's."""

    api: client.ApiClient
    namespace: str
    fake: FakeCluster | None

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.api)

    @property
    def custom(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(self.api)

    def of(self, plural: str = VMIS, group: str = GROUP, version: str = VERSION) -> dict[str, str]:
        """Where custom objects of one kind are, in the words of the client."""
        return {"group": group, "version": version, "namespace": self.namespace, "plural": plural}

    @property
    def checks_schemas(self) -> bool:
        """A real server always does; the fake where the definitions lie beside the repository."""
        return self.fake is None or definitions_folder() is not None


def _targets() -> list[Any]:
    real = os.environ.get("KUBECONFIG")
    return ["fake", *(["real"] if real else [])]


@pytest.fixture(params=_targets())
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """Nothing comes to life here by itself, on neither server: what is tested is the API, not KubeVirt."""
    configuration = client.Configuration()
    namespace = f"hostler-test-{uuid.uuid4().hex[:10]}"
    if request.param == "real":
        await config.load_kube_config(client_configuration=configuration)
        async with client.ApiClient(configuration) as api:
            core = client.CoreV1Api(api)
            await core.create_namespace({"metadata": {"name": namespace}})
            try:
                yield Site(api, namespace, None)
            finally:
                await core.delete_namespace(namespace)
        return
    async with running(ClusterConfig(virt_controller=False)) as cluster:
        await config.load_kube_config(
            str(cluster.kubeconfig(tmp_path / "kubeconfig")), client_configuration=configuration
        )
        async with client.ApiClient(configuration) as api:
            await client.CoreV1Api(api).create_namespace({"metadata": {"name": namespace}})
            yield Site(api, namespace, cluster)


def vmi(name: str, **metadata: Any) -> dict[str, Any]:
    """The least VMI that every server takes."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, **metadata},
        "spec": {"domain": {"devices": {}, "resources": {"requests": {"memory": "64Mi"}}}},
    }
