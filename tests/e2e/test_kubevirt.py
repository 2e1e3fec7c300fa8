"""The whole stack with the `kubevirt` backend: jobs as virtual machines of a fake cluster, in which simulated servers run."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Stack, until
from tests.support.kubernetes.config import ClusterConfig
from tests.support.kubernetes.journal import Written
from tests.support.kubernetes.process import ClusterProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MODEL = "org/large-model"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcess]:
    process = ClusterProcess(tmp_path_factory.mktemp("cluster"), ClusterConfig(guests=True))
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def gpu_stack(cluster: ClusterProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    prefix = "HOSTLER_PROVISIONER_KUBERNETES_"
    environment = {
        "HOSTLER_PROVISIONER_BACKEND": "kubevirt",
        "HOSTLER_PROVISIONER_CLUSTER": "main",
        "HOSTLER_PROVISIONER_NODE_CPU_CORES": "64",
        f"{prefix}KUBECONFIG": str(cluster.kubeconfig),
        f"{prefix}NAMESPACE": "default",
        f"{prefix}IMAGES": json.dumps({"vllm": "docker://registry.example/guest:1"}),
    }
    stack = Stack(tmp_path_factory.mktemp("stack"), environment=environment)
    stack.up()
    yield stack
    stack.down()


def left(cluster: ClusterProcess) -> dict[str, str]:
    """Name by UID of every object of ours that there is, by the cluster's own log."""
    there: dict[str, str] = {}
    for entry in cluster.journal():
        if isinstance(entry, Written) and "hostler.dev/job" in entry.labels:
            if entry.what == "deleted":
                there.pop(entry.uid, None)
            else:
                there[entry.uid] = f"{entry.resource}/{entry.name}"
    return there


def machines(cluster: ClusterProcess) -> int:
    return sum(each.startswith("virtualmachineinstances") for each in left(cluster).values())


def test_a_job_becomes_machines_with_gpus_serves_scales_down_and_goes_whole(
    gpu_stack: Stack, cluster: ClusterProcess
) -> None:
    body = {
        "model": MODEL,
        "name": "large",
        "runtime": "vllm",
        "hardware_profile": "gpu.a100",
        "gpu_count": 2,
        "scaling": {"min_replicas": 2, "max_replicas": 2},
    }
    answer = gpu_stack.http("POST", "/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text

    def job() -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = gpu_stack.http("GET", "/v1/jobs/large").json()
        return found

    until(lambda: job()["status"]["phase"] == "Running", "the job runs")
    assert machines(cluster) == 2
    said = gpu_stack.openai().chat.completions.create(
        model="large", messages=[{"role": "user", "content": "Hello"}], max_tokens=4
    )
    assert said.choices[0].message.content

    patch = {"scaling": {"min_replicas": 1, "max_replicas": 1}}
    assert gpu_stack.http("PATCH", "/v1/jobs/large", json=patch).status_code < 300
    until(lambda: machines(cluster) == 1, "one machine went")

    assert gpu_stack.http("DELETE", "/v1/jobs/large").status_code == 202
    until(lambda: gpu_stack.http("GET", "/v1/jobs/large").status_code == 404, "the job is buried")
    assert left(cluster) == {}
