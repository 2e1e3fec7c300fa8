"""Machines of a KubeVirt cluster for tests: everything has a default, a test says only what matters to it."""

from typing import Any

from hostler_provisioner.kubevirt.guest import Guest, HttpCheck
from hostler_provisioner.kubevirt.machine import ClusterSettings, Machine, Storage, own_disks
from tests.support.builders import JOB_ID

REPLICA_ID = "01939e00-0000-7000-8000-0000000000a1"
ANCHOR_UID = "7d1f1c52-7f52-4e43-9d1f-9f30f8a2a111"
SETTINGS = ClusterSettings("dallas")
GUEST = Guest(
    argv=("vllm", "serve", "Qwen/Qwen3-32B"),
    env=(("HF_HOME", "/var/lib/hostler/models"),),
    secret_env=(("VLLM_API_KEY", "hsr_secret-of-the-replica"),),
    port=8000,
    health=HttpCheck("/health", 8000),
    shutdown_timeout_seconds=120,
)


def cluster(**storage: Any) -> ClusterSettings:
    """A cluster with some kind of storage."""
    return ClusterSettings("dallas", storage=Storage(**storage))


def machine(settings: ClusterSettings = SETTINGS, **fields: Any) -> Machine:
    """A replica on two GPUs."""
    values: dict[str, Any] = {
        "job_id": JOB_ID,
        "project": "default",
        "replica_id": REPLICA_ID,
        "generation": 1,
        "runtime": "vllm",
        "image": "registry.example/hostler/guest:1",
        "cpu_cores": 16,
        "memory_bytes": 128 * 2**30,
        "guest": GUEST,
        "node": "gpu-node-1",
        "gpu_device": "nvidia.com/GA100_A100_SXM4_80GB",
        "gpu_product": "NVIDIA-A100-SXM4-80GB",
        "gpu_count": 2,
        **fields,
    }
    root, cache = own_disks(settings, values["job_id"], values["replica_id"], values["generation"])
    return Machine(**({"root_disk": root, "cache": cache} | values))
