"""The fake cluster itself: what its KubeVirt, CDI and collector do, and how a test breaks them. Its API is in the conformance suite."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.kubernetes.catalog import CLAIMS, CONFIG_MAPS, DATA_VOLUMES, NODES, PODS, SECRETS, VMIS
from tests.support.kubernetes.cluster import FakeCluster, running
from tests.support.kubernetes.config import GPU, ClusterConfig, NodeShape
from tests.support.kubernetes.guests import LAUNCH_PATH
from tests.support.kubernetes.verbs import DeleteOptions

pytestmark = pytest.mark.integration


async def until(cluster: FakeCluster, holds: Callable[[], Any]) -> Any:
    """The truth of a condition, once it holds; looked at after every change."""
    async with asyncio.timeout(20):
        while not (found := holds()):
            await cluster.store.changed()
    return found


def _vmi(name: str, gpus: int = 1, volumes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    devices = {"gpus": [{"name": f"gpu{number}", "deviceName": GPU} for number in range(gpus)]}
    if volumes:
        devices["disks"] = [{"name": each["name"], "disk": {}} for each in volumes]
    return {
        "metadata": {"name": name},
        "spec": {
            "domain": {"devices": devices, "memory": {"guest": "1Gi"}},
            "volumes": volumes or [],
        },
    }


def _status(cluster: FakeCluster, name: str) -> dict[str, Any]:
    found = cluster.store.find(VMIS, "default", name)
    return found.body.get("status", {}) if found else {}


def _phase(cluster: FakeCluster, name: str) -> str | None:
    return _status(cluster, name).get("phase")


def _ready(cluster: FakeCluster, name: str) -> str | None:
    conditions = {each["type"]: each["status"] for each in _status(cluster, name).get("conditions", ())}
    return conditions.get("Ready")


@pytest.fixture
async def one_node() -> AsyncIterator[FakeCluster]:
    async with running(ClusterConfig(nodes=(NodeShape("only", {GPU: 2}),))) as cluster:
        yield cluster


async def test_a_vmi_walks_through_its_phases_and_gets_a_node_and_an_address(
    kubernetes_cluster: FakeCluster,
) -> None:
    kubernetes_cluster.add(VMIS, _vmi("a"), "default")

    await until(kubernetes_cluster, lambda: _ready(kubernetes_cluster, "a") == "True")

    status = _status(kubernetes_cluster, "a")
    phases = [each["phase"] for each in status["phaseTransitionTimestamps"]]
    assert phases == ["Pending", "Scheduling", "Scheduled", "Running"]
    assert status["nodeName"] == "node-0"
    assert status["interfaces"][0]["ipAddress"].startswith("127.")
    pod = kubernetes_cluster.store.each(PODS, "default")[0].body
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {GPU: "1"}


async def test_no_node_takes_more_gpus_than_it_has(one_node: FakeCluster) -> None:
    one_node.add(VMIS, _vmi("a", gpus=2), "default")
    await until(one_node, lambda: _phase(one_node, "a") == "Running")
    one_node.add(VMIS, _vmi("b"), "default")
    await until(one_node, lambda: _status(one_node, "b").get("conditions"))

    assert _phase(one_node, "b") == "Scheduling"
    assert _status(one_node, "b")["conditions"][0]["reason"] == "Unschedulable"

    one_node.verbs.delete(VMIS, "default", "a", DeleteOptions())
    await until(one_node, lambda: _phase(one_node, "b") == "Running")


async def test_a_vmi_waits_for_its_disk_and_the_disk_says_how_far_it_is(
    kubernetes_cluster: FakeCluster,
) -> None:
    cluster = kubernetes_cluster
    cluster.data_volume("disk", "fail")
    source = {"registry": {"url": "docker://registry.example/root"}}
    storage = {"resources": {"requests": {"storage": "1Gi"}}}
    cluster.add(
        DATA_VOLUMES,
        {"metadata": {"name": "disk"}, "spec": {"source": source, "storage": storage}},
        "default",
    )
    cluster.add(VMIS, _vmi("a", volumes=[{"name": "root", "dataVolume": {"name": "disk"}}]), "default")

    def import_status() -> dict[str, Any]:
        return cluster.store.get(DATA_VOLUMES, "default", "disk").body.get("status", {})

    await until(cluster, lambda: import_status().get("progress") == "12.50%")
    assert _phase(cluster, "a") == "Pending"

    cluster.data_volume("disk", "heal")
    await until(cluster, lambda: _phase(cluster, "a") == "Running")
    assert import_status()["phase"] == "Succeeded"


async def test_a_deleted_vmi_is_shut_down_first_and_takes_what_it_owns_with_it(
    kubernetes_cluster: FakeCluster,
) -> None:
    cluster = kubernetes_cluster
    owner = cluster.add(VMIS, _vmi("a"), "default")["metadata"]
    reference = {"apiVersion": "kubevirt.io/v1", "kind": VMIS.kind, "name": "a", "uid": owner["uid"]}
    cluster.add(SECRETS, {"metadata": {"name": "s", "ownerReferences": [reference]}}, "default")
    await until(cluster, lambda: _phase(cluster, "a") == "Running")

    cluster.verbs.delete(VMIS, "default", "a", DeleteOptions())
    await until(cluster, lambda: cluster.store.find(SECRETS, "default", "s") is None)

    told = [each for each in cluster.journal.written if each.uid == owner["uid"]]
    assert [each.phase for each in told if each.deleting][:2] == ["Running", "Succeeded"]
    assert told[-1].what == "deleted"
    await until(cluster, lambda: not cluster.store.each(PODS, "default"))


async def test_a_stuck_vmi_stays_until_it_is_let_go(kubernetes_cluster: FakeCluster) -> None:
    cluster = kubernetes_cluster
    cluster.add(VMIS, _vmi("a"), "default")
    await until(cluster, lambda: _phase(cluster, "a") == "Running")
    cluster.vmi("default", "a", "stick")
    cluster.verbs.delete(VMIS, "default", "a", DeleteOptions())
    cluster.add(VMIS, _vmi("b"), "default")
    await until(cluster, lambda: _ready(cluster, "b") == "True")

    assert cluster.store.find(VMIS, "default", "a") is not None

    cluster.vmi("default", "a", "unstick")
    await until(cluster, lambda: cluster.store.find(VMIS, "default", "a") is None)


async def test_a_lost_node_leaves_its_vmis_unknown_and_undeletable_until_it_returns(
    kubernetes_cluster: FakeCluster,
) -> None:
    cluster = kubernetes_cluster
    cluster.add(VMIS, _vmi("a"), "default")
    await until(cluster, lambda: _ready(cluster, "a") == "True")

    cluster.node("node-0", "lose")
    await until(cluster, lambda: _phase(cluster, "a") == "Unknown")
    cluster.verbs.delete(VMIS, "default", "a", DeleteOptions())
    cluster.add(VMIS, _vmi("b"), "default")
    await until(cluster, lambda: _phase(cluster, "b") == "Running")

    assert _status(cluster, "b")["nodeName"] == "node-1"
    assert cluster.store.find(VMIS, "default", "a") is not None

    cluster.node("node-0", "return")
    await until(cluster, lambda: cluster.store.find(VMIS, "default", "a") is None)


@pytest.mark.parametrize(
    ("how", "phase"), [("fail", "Failed"), ("succeed", "Succeeded"), ("unknown", "Unknown")]
)
async def test_a_vmi_can_be_broken(kubernetes_cluster: FakeCluster, how: str, phase: str) -> None:
    kubernetes_cluster.add(VMIS, _vmi("a"), "default")
    await until(kubernetes_cluster, lambda: _ready(kubernetes_cluster, "a") == "True")

    kubernetes_cluster.vmi("default", "a", how)

    assert _phase(kubernetes_cluster, "a") == phase
    assert _ready(kubernetes_cluster, "a") != "True"


async def test_a_vmi_can_vanish_without_a_finalizer_holding_it(kubernetes_cluster: FakeCluster) -> None:
    kubernetes_cluster.add(VMIS, _vmi("a"), "default")
    await until(kubernetes_cluster, lambda: _ready(kubernetes_cluster, "a") == "True")

    kubernetes_cluster.vmi("default", "a", "vanish")

    assert kubernetes_cluster.store.find(VMIS, "default", "a") is None
    assert [each.what for each in kubernetes_cluster.journal.written if each.resource == VMIS.full_name][
        -1
    ] == "deleted"


async def test_a_claim_stays_while_a_vmi_uses_it(kubernetes_cluster: FakeCluster) -> None:
    cluster = kubernetes_cluster
    cluster.add(
        CLAIMS, {"metadata": {"name": "cache"}, "spec": {"accessModes": ["ReadWriteMany"]}}, "default"
    )
    volumes = [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}]
    cluster.add(VMIS, _vmi("a", volumes=volumes), "default")
    await until(cluster, lambda: _ready(cluster, "a") == "True")

    cluster.verbs.delete(CLAIMS, "default", "cache", DeleteOptions())
    cluster.add(CONFIG_MAPS, {"metadata": {"name": "later"}}, "default")
    await asyncio.sleep(0)
    assert cluster.store.find(CLAIMS, "default", "cache") is not None

    cluster.verbs.delete(VMIS, "default", "a", DeleteOptions())
    await until(cluster, lambda: cluster.store.find(CLAIMS, "default", "cache") is None)


async def test_the_door_breaks_things_from_outside_and_tells_what_happened(
    kubernetes_cluster: FakeCluster, tmp_path: Path
) -> None:
    async with httpx2.AsyncClient(base_url=kubernetes_cluster.url) as judge:
        fault = {"kind": "status", "status": 429, "retry_after": 2, "resources": ["nodes"], "count": 1}
        assert (await judge.post("/_fake/faults", json=fault)).status_code == 201
        headers = {"Authorization": f"Bearer {kubernetes_cluster.access.admin_token}"}
        refused = await judge.get("/api/v1/nodes", headers=headers)
        served = await judge.get("/api/v1/nodes", headers=headers)
        await judge.post("/_fake/nodes/node-1/lose")
        journal = (await judge.get("/_fake/journal")).json()

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert served.status_code == 200
    assert [each["status"] for each in journal if each["entry"] == "Asked"] == [429, 200]
    lost = kubernetes_cluster.store.get(NODES, "", "node-1").body["status"]["conditions"][0]
    assert lost["status"] == "Unknown"


async def test_a_running_vmi_can_have_a_server_that_goes_with_it() -> None:
    launch = {
        "argv": ["vllm", "serve", "some/model", "--port", "8123"],
        "env": {"VLLM_API_KEY": "of the test"},
    }
    files = [
        {
            "path": LAUNCH_PATH,
            "encoding": "b64",
            "content": base64.b64encode(json.dumps(launch).encode()).decode(),
        }
    ]
    user_data = "#cloud-config\n" + json.dumps({"write_files": files})
    secret = {"metadata": {"name": "a"}, "stringData": {"userdata": user_data}}
    volumes = [{"name": "init", "cloudInitNoCloud": {"secretRef": {"name": "a"}}}]
    headers = {"Authorization": "Bearer of the test"}
    async with running(ClusterConfig(guests=True)) as cluster, httpx2.AsyncClient(headers=headers) as client:
        cluster.add(SECRETS, secret, "default")
        cluster.add(VMIS, _vmi("a", volumes=volumes), "default")
        await until(cluster, lambda: _ready(cluster, "a") == "True")
        url = f"http://{_status(cluster, 'a')['interfaces'][0]['ipAddress']}:8123"
        models = (await client.get(f"{url}/v1/models")).json()

        cluster.node("node-0", "lose")
        with pytest.raises(httpx2.TimeoutException):
            await client.get(f"{url}/health", timeout=0.2)
        cluster.node("node-0", "return")
        assert (await client.get(f"{url}/health")).status_code == 200

        cluster.vmi("default", "a", "vanish")
        await until(cluster, lambda: not cluster.store.each(PODS, "default"))
        with pytest.raises(httpx2.TransportError):
            await client.get(f"{url}/health")

    assert [each["id"] for each in models["data"]] == ["some/model"]
