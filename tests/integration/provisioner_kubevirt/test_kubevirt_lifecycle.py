"""The life of a replica on the fake cluster, from its launch to the last object of its job."""

from pathlib import Path

from hostler_provisioner.backend import Step
from tests.integration.provisioner_kubevirt.kubevirt_site import backend, launch, until
from tests.support.kubernetes.cluster import FakeCluster, running
from tests.support.kubernetes.config import ClusterConfig


def names(cluster: FakeCluster) -> list[str]:
    """Everything of ours that is in the cluster, by kind and name."""
    return sorted(
        f"{each.resource.plural}/{each.body['metadata']['name']}"
        for each in cluster.store.all()
        if "hostler.dev/job" in (each.body["metadata"].get("labels") or {})
    )


async def test_a_replica_starts_serves_and_goes_and_with_its_job_everything_else(tmp_path: Path) -> None:
    async with running(ClusterConfig(guests=True)) as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        async with backend(config, disks={"job-1": 1}) as place:
            await place.start(launch("r1"))
            seen = await until(place, lambda seen: seen["r1"].step is Step.READY)
            assert (seen["r1"].endpoint_url or "").endswith(":8000")
            await place.stop("r1", 1.0)
            assert await place.observe() == ()
            kept = [each.split("/")[0] for each in names(cluster)]
            assert sorted(kept) == [
                "configmaps",
                "datavolumes",
                "datavolumes",
                "networkpolicies",
                "persistentvolumeclaims",
                "persistentvolumeclaims",
                "services",
            ]
            await place.forget("job-1")
            assert names(cluster) == []
