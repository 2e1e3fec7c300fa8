"""A KubeVirt backend on the fake cluster, with settings that make it quick, and what it is asked for."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import structlog

from hostler_kit.clock import SystemClock
from hostler_provisioner.backend import Launch, ObservedReplica
from hostler_provisioner.kubevirt.backend import KubeVirtBackend
from hostler_provisioner.kubevirt.client import Client, connect
from hostler_provisioner.kubevirt.guest import Guest, HttpCheck
from hostler_provisioner.kubevirt.machine import ClusterSettings, Storage
from hostler_provisioner.kubevirt.settings import Access, Patience
from tests.support.kubernetes.config import GPU

NAMESPACE = "default"
LAUNCH = Launch(
    replica_id="r1",
    job_id="job-1",
    project="default",
    model="org/model",
    served_name="org/model",
    runtime="vllm",
    args=(),
    env=(),
    cpu_cores=4,
    memory_bytes=8 * 2**30,
    api_key="key-of-r1",
    gpu_count=1,
    device_name=GPU,
)
CLUSTER = ClusterSettings(
    "main",
    NAMESPACE,
    {"vllm": "docker://registry.example/guest:1"},
    Storage(root_disk_gb=10, cache_gb=20),
    gpu_product_label=None,
)
ACCESS = Access(request_timeout_seconds=2.0, watch_seconds=10, heartbeat_seconds=0.3, unreachable_seconds=1.0)
PATIENCE = Patience(probe_period_seconds=0.05, deletion_deadline_seconds=0.3, turn_seconds=0.2)


def guest(launch: Launch) -> Guest:
    """A server as the fake's machines can run one."""
    return Guest(
        argv=("vllm", "serve", launch.model, "--served-model-name", launch.served_name, "--port", "8000"),
        secret_env=(("VLLM_API_KEY", launch.api_key),),
        port=8000,
        health=HttpCheck("/health", 8000),
        shutdown_timeout_seconds=1,
    )


@asynccontextmanager
async def backend(
    kubeconfig: Path,
    *,
    disks: Mapping[str, int] | None = None,
    settings: ClusterSettings = CLUSTER,
    access: Access = ACCESS,
) -> AsyncIterator[KubeVirtBackend]:
    """A backend that lets go of everything at the end, as one that was killed does."""
    clock = SystemClock()

    async def open_client() -> Client:
        return await connect(
            kubeconfig=kubeconfig,
            context=None,
            namespace=settings.namespace,
            clock=clock,
            timeout_seconds=access.request_timeout_seconds,
            requests_max=access.requests_max,
        )

    made = KubeVirtBackend(
        settings,
        access,
        PATIENCE,
        connect=open_client,
        guest_of=guest,
        disks=lambda: disks,
        clock=clock,
        rng=random.Random(1),
        logger=structlog.get_logger(),
    )
    try:
        yield made
    finally:
        await made.close()


async def until(
    backend: KubeVirtBackend,
    holds: Callable[[Mapping[str, ObservedReplica]], bool],
    timeout_seconds: float = 20.0,
) -> Mapping[str, ObservedReplica]:
    """What is observed as soon as `holds` says so of it."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        backend.changed.clear()
        seen = {each.replica_id: each for each in await backend.observe()}
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"still {seen}"
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await backend.changed.wait()


def launch(replica_id: str, **changes: object) -> Launch:
    """A launch of that replica."""
    return replace(LAUNCH, replica_id=replica_id, **changes)  # type: ignore[arg-type]  # a test's own fields
