"""What is read off the cluster's objects: whose they are, how far, and what is wrong with them."""

from hostler_provisioner.kubevirt.cache import Cache
from hostler_provisioner.kubevirt.names import job_labels, replica_labels
from hostler_provisioner.kubevirt.observed import Observed, VmPhase, observed_from, shape_of
from hostler_provisioner.kubevirt.reading import JsonObject

LABELS = replica_labels("main", "default", "job-1", "r1", 2)


def thing(name: str, labels: dict[str, str] | None = None, version: int = 1, **fields: object) -> JsonObject:
    metadata = {
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "labels": LABELS if labels is None else labels,
        "creationTimestamp": "2026-11-21T12:00:00Z",
    }
    return {"metadata": metadata, **fields}


def seen(**objects: list[JsonObject]) -> Observed:
    kinds = {"machines": [], "data_volumes": [], "claims": [], "config_maps": [], **objects}
    return observed_from(**kinds)  # type: ignore[arg-type]  # the empty lists are of any kind


def test_a_machine_is_read_with_its_phase_place_and_conditions() -> None:
    status = {
        "phase": "Running",
        "nodeName": "node-0",
        "interfaces": [{"name": "default"}, {"ipAddress": "10.0.0.7"}],
        "conditions": [{"type": "AgentConnected", "status": "True"}, {"type": "Ready", "status": "False"}],
        "evacuationNodeName": "node-0",
    }
    (vm,) = seen(machines=[thing("vm", status=status)]).vms
    assert (vm.replica_id, vm.owner.generation, vm.phase) == ("r1", 2, VmPhase.RUNNING)
    assert (vm.node, vm.ip, vm.agent, vm.ready, vm.evicting) == ("node-0", "10.0.0.7", True, False, True)


def test_a_phase_that_is_not_known_here_is_unknown_and_none_is_pending() -> None:
    strange = thing("a", status={"phase": "WaitingForSync"})
    assert [each.phase for each in seen(machines=[strange, thing("b")]).vms] == [
        VmPhase.UNKNOWN,
        VmPhase.PENDING,
    ]


def test_what_a_machine_waits_for_is_told() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient nvidia.com/X"}
    (vm,) = seen(machines=[thing("vm", status={"conditions": [condition]})]).vms
    assert vm.detail == "0/3 nodes: Insufficient nvidia.com/X"


def test_an_object_without_our_labels_is_nobodys() -> None:
    assert seen(machines=[thing("vm", labels={"app": "other"})]) == Observed()


def test_a_root_disk_is_told_from_a_cache_and_from_its_own_claim() -> None:
    root = thing(
        "root",
        spec={"source": {"registry": {"url": "docker://x"}}, "storage": {"resources": {}}},
        status={"phase": "ImportInProgress", "progress": "12.50%"},
    )
    cache = thing("cache", spec={"source": {"blank": {}}})
    made = thing("root")
    made = {**made, "metadata": {**made["metadata"], "ownerReferences": [{"kind": "DataVolume"}]}}  # type: ignore[dict-item]  # a JSON object
    shared = thing("shared", labels=job_labels("main", "default", "job-1"))
    found = seen(data_volumes=[root, cache], claims=[made, shared])
    assert [(each.slot, each.fraction, each.done) for each in found.disks] == [("r1", 0.125, False)]
    assert [(each.name, each.data_volume) for each in found.claims] == [("cache", True), ("shared", False)]


def test_a_progress_that_cdi_cant_tell_is_none() -> None:
    (disk,) = seen(data_volumes=[thing("root", status={"progress": "N/A"})]).disks
    assert disk.fraction is None


def test_the_shape_of_a_disk_is_the_same_in_the_manifest_and_in_the_cluster() -> None:
    spec = {
        "source": {"registry": {"url": "docker://x", "pullMethod": "node"}},
        "storage": {"resources": {"requests": {"storage": "10Gi"}}, "storageClassName": "fast"},
    }
    turned = {**spec, "source": {"registry": {"pullMethod": "node", "url": "docker://x"}}}
    assert shape_of({"spec": spec}) == shape_of(thing("root", spec=turned, status={"phase": "Succeeded"}))


def test_an_answer_to_a_write_that_the_watch_is_past_brings_nothing_back() -> None:
    cache = Cache()
    cache.replace((), "1")
    made = thing("vm", version=5)
    cache.written(made)
    assert list(cache.objects) == ["vm"]
    cache.take({"type": "DELETED", "object": thing("vm", version=8)})
    cache.written(made)
    assert not cache.objects


def test_a_list_keeps_what_was_written_while_it_was_made() -> None:
    cache = Cache()
    cache.replace((thing("old", version=2),), "3")
    cache.written(thing("new", version=7))
    cache.replace((thing("old", version=2),), "5")
    assert sorted(cache.objects) == ["new", "old"]
    cache.replace((), "9")
    assert not cache.objects


def test_a_bookmark_moves_only_the_place_to_watch_from() -> None:
    cache = Cache()
    cache.replace((), "1")
    assert cache.take({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}) is False
    assert (cache.version, dict(cache.objects)) == ("9", {})
