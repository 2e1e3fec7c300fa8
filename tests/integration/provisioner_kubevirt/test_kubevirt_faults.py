"""What becomes of replicas when the provisioner, the API server or the cluster fail in the middle."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hostler_domain.errors import TemporaryError
from hostler_provisioner.backend import Step, Unreachable
from hostler_provisioner.kubevirt.backend import KubeVirtBackend
from hostler_provisioner.kubevirt.names import replica_name
from tests.integration.provisioner_kubevirt.kubevirt_site import ACCESS, NAMESPACE, backend, launch, until
from tests.support.kubernetes.catalog import DATA_VOLUMES, VMIS
from tests.support.kubernetes.cluster import FakeCluster, running
from tests.support.kubernetes.config import ClusterConfig

ONE = {"job-1": 1}


def made(cluster: FakeCluster, resource: str) -> Counter[str]:
    """How often each name was created, by the cluster's own log."""
    return Counter(
        each.name
        for each in cluster.journal.written
        if each.what == "created" and each.resource.startswith(resource)
    )


def vm_name(cluster: FakeCluster) -> str:
    (found,) = cluster.store.each(VMIS, NAMESPACE)
    name: str = found.body["metadata"]["name"]
    return name


async def outcome(place: KubeVirtBackend, expected: type[TemporaryError] | None) -> TemporaryError | None:
    """What observing comes to, as soon as it is an error of that kind, or none."""
    async with asyncio.timeout(30):
        while True:
            error: TemporaryError | None = None
            try:
                await place.observe()
            except TemporaryError as raised:
                error = raised
            if (error is None) if expected is None else isinstance(error, expected):
                return error
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("writes", range(1, 9))
async def test_a_start_that_was_killed_after_any_write_is_found_and_completed(
    tmp_path: Path, writes: int
) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        left = [writes]

        def may_write() -> bool:
            left[0] -= 1
            return left[0] >= 0

        async with backend(config, disks=ONE) as killed:
            killed.fence(may_write)
            await killed.start(launch("r1"))
            await until(killed, lambda _: left[0] < 0 or bool(made(cluster, "virtualmachineinstances")))
        async with backend(config, disks=ONE) as next_one:
            seen = {each.replica_id: each for each in await next_one.observe()}
            if "r1" not in seen or seen["r1"].incomplete:
                await next_one.start(launch("r1"))
            await until(next_one, lambda seen: seen["r1"].step is Step.READY)
            assert sum(made(cluster, "virtualmachineinstances").values()) == 1
            assert max(made(cluster, "datavolumes").values()) == 1
            await next_one.stop("r1", 1.0)
            await next_one.forget("job-1")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "status", "status": 429, "retry_after": 1, "count": 2}, id="429"),
        pytest.param({"kind": "status", "status": 500, "count": 3}, id="500"),
        pytest.param({"kind": "status", "status": 503, "count": 3}, id="503"),
        pytest.param({"kind": "reset_after", "count": 3}, id="reset after the write"),
        pytest.param({"kind": "status", "status": 409, "count": 3}, id="409"),
    ],
)
async def test_a_start_gets_through_what_the_server_does_to_its_writes(
    tmp_path: Path, fault: dict[str, object]
) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        # What the server does to writes is looked at, not how soon one that is slow counts as unreachable.
        async with backend(config, disks=ONE, access=replace(ACCESS, unreachable_seconds=30.0)) as place:
            await place.observe()
            cluster.faults.add({**fault, "verbs": ("create", "patch")})
            await place.start(launch("r1"))
            await until(place, lambda seen: seen["r1"].step is Step.READY, 40)
            assert sum(made(cluster, "virtualmachineinstances").values()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "gone", "count": 8}, id="410 in the stream"),
        pytest.param({"kind": "status", "status": 410, "verbs": ("watch",), "count": 8}, id="410 by status"),
        pytest.param({"kind": "drop", "after_events": 1, "count": 30}, id="dropped, and forgotten meanwhile"),
    ],
)
async def test_watches_that_break_lose_nothing(tmp_path: Path, fault: dict[str, object]) -> None:
    async with running(ClusterConfig(guests=True, history_max=5)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        cluster.faults.add(fault)
        async with backend(config, disks=ONE) as place:
            await place.start(launch("r1"))
            await until(place, lambda seen: seen["r1"].step is Step.READY, 40)
            await place.stop("r1", 1.0)
            assert await place.observe() == ()


async def test_a_refused_manifest_is_told_as_the_end_of_its_replica(tmp_path: Path) -> None:
    async with running() as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with backend(config, disks=ONE) as place:
            await place.observe()
            fault = {
                "kind": "status",
                "status": 422,
                "resources": ("virtualmachineinstances",),
                "verbs": ("create",),
            }
            cluster.faults.add(fault)
            await place.start(launch("r1"))
            seen = await until(place, lambda seen: seen["r1"].step is Step.GONE)
            assert "422" in seen["r1"].detail
            await place.stop("r1", 1.0)
            assert await place.observe() == ()


async def test_a_namesake_of_somebody_elses_is_neither_taken_nor_deleted(tmp_path: Path) -> None:
    async with running() as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        name = replica_name("job-1", "r1", 1)
        cluster.add(VMIS, {"metadata": {"name": name}, "spec": {"domain": {"devices": {}}}}, NAMESPACE)
        async with backend(config, disks=ONE) as place:
            await place.start(launch("r1"))
            seen = await until(place, lambda seen: seen["r1"].step is Step.GONE)
            assert "not ours" in seen["r1"].detail
            await asyncio.wait_for(place.stop("r1", 1.0), 10)
            assert vm_name(cluster) == name


@pytest.mark.parametrize("how", ["fail", "succeed"])
async def test_a_machine_that_ended_is_gone_and_its_successor_takes_over_its_disk(
    tmp_path: Path, how: str
) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with backend(config, disks=ONE) as place:
            await place.start(launch("r1"))
            await until(place, lambda seen: seen["r1"].step is Step.READY)
            cluster.vmi(NAMESPACE, vm_name(cluster), how)
            await until(place, lambda seen: seen["r1"].step is Step.GONE)
            await place.stop("r1", 1.0)
            await place.start(launch("r2"))
            await until(place, lambda seen: seen["r2"].step is Step.READY)
            assert set(made(cluster, "datavolumes").values()) == {1}
            assert len(cluster.store.each(DATA_VOLUMES, NAMESPACE)) == 2  # a root disk and a cache


async def test_a_machine_that_vanished_is_left_off_and_never_made_again_by_itself(tmp_path: Path) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with backend(config, disks=ONE) as place:
            await place.start(launch("r1"))
            await until(place, lambda seen: seen["r1"].step is Step.READY)
            cluster.vmi(NAMESPACE, vm_name(cluster), "vanish")
            await until(place, lambda seen: seen["r1"].incomplete)
            await place.stop("r1", 1.0)
            assert sum(made(cluster, "virtualmachineinstances").values()) == 1


async def test_a_deletion_that_sticks_is_told_and_holds_up_the_end(tmp_path: Path) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with backend(config, disks=ONE) as place:
            await place.start(launch("r1"))
            await until(place, lambda seen: seen["r1"].step is Step.READY)
            name = vm_name(cluster)
            cluster.vmi(NAMESPACE, name, "stick")
            stopping = asyncio.create_task(place.stop("r1", 1.0))
            await until(place, lambda seen: seen["r1"].stuck)
            assert not stopping.done()
            cluster.vmi(NAMESPACE, name, "unstick")
            await asyncio.wait_for(stopping, 20)
            assert await place.observe() == ()


async def test_a_node_that_is_emptied_lets_its_machines_say_so(tmp_path: Path) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with backend(config, disks=ONE) as place:
            await place.start(launch("r1"))
            await until(place, lambda seen: seen["r1"].step is Step.READY)
            cluster.vmi(NAMESPACE, vm_name(cluster), "evict")
            await until(place, lambda seen: "being emptied" in seen["r1"].leaving)


async def test_a_cluster_that_hangs_is_unreachable_and_nothing_is_deleted(tmp_path: Path) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with backend(config, disks=ONE) as place:
            await place.start(launch("r1"))
            await until(place, lambda seen: seen["r1"].step is Step.READY)
            fault = cluster.faults.add({"kind": "hang"})
            reason = await outcome(place, Unreachable)
            assert "has not answered" in str(reason)
            cluster.faults.clear(fault.number)
            await outcome(place, None)
            (seen,) = await place.observe()
            assert seen.step is Step.READY
            assert not [each for each in cluster.journal.asked if each.verb == "delete"]
