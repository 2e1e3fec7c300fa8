"""Every document that the provisioner gives a cluster, against the real schemas, and what matters in each."""

import base64
from typing import Any

import pytest

from hostler_domain.errors import PermanentError
from hostler_provisioner.kubevirt.guest import Guest
from hostler_provisioner.kubevirt.machine import (
    ClusterSettings,
    EvictionStrategy,
    Firmware,
    Network,
    Peer,
    Storage,
)
from hostler_provisioner.kubevirt.manifests import anchor, job_objects, network_policy, replica_objects
from hostler_provisioner.kubevirt.names import MANAGED_BY_LABEL, owner_of
from tests.support.builders import JOB_ID
from tests.support.kubernetes_schemas import crds_folder, errors_of
from tests.support.machines import ANCHOR_UID, GUEST, SETTINGS, cluster, machine

needs_crds = pytest.mark.skipif(
    crds_folder() is None,
    reason="the definitions of KubeVirt and CDI are not here: HOSTLER_KUBEVIRT_CRDS names their folder",
)
WORKSPACE = Guest(
    argv=(), ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hostlerhostlerhostlerhostler me@home",)
)
EVERYTHING = ClusterSettings(
    "dallas",
    dedicated_cpus=True,
    firmware=Firmware.BIOS,
    eviction_strategy=EvictionStrategy.NONE,
    node_selector={"pool": "gpu"},
    priority_class="inference",
    storage=Storage(
        root_storage_class="fast", cache_storage_class="shared", cache_shared=True, import_secret="registry"
    ),
    network=Network(login_callers=(Peer({"team": "a"}),), egress_blocks=("10.1.0.0/16",)),
)
CASES = {
    "disks of its own": (SETTINGS, {}),
    "a shared cache": (cluster(cache_shared=True), {}),
    "no storage": (cluster(volumes=False, pull_secret="registry"), {}),
    "no cache": (cluster(cache_gb=0), {}),
    "every setting": (EVERYTHING, {}),
    "no GPU": (SETTINGS, {"gpu_count": 0, "gpu_device": None, "gpu_product": None, "node": None}),
    "a workspace": (EVERYTHING, {"guest": WORKSPACE}),
    "an image from the web": (SETTINGS, {"image": "https://images.example/guest.qcow2"}),
    "an image to clone": (cluster(image_namespace="images"), {"image": "pvc://guest-1"}),
    "a snapshot": (cluster(image_namespace="images"), {"image": "snapshot://guest-1"}),
}


def objects(settings: ClusterSettings, **fields: Any) -> dict[str, Any]:
    """All objects of a job with one replica, by kind; volumes by the end of their names."""
    one = machine(settings, **fields)
    port = one.guest.port
    made = (
        anchor(settings, "default", JOB_ID),
        *job_objects(settings, "default", JOB_ID, port, ANCHOR_UID),
        *replica_objects(settings, one, ANCHOR_UID),
    )
    found: dict[str, Any] = {}
    for each in made:
        kind, name = each["kind"], each["metadata"]["name"]
        key = name.rpartition("-")[2] if kind in ("DataVolume", "PersistentVolumeClaim") else kind
        assert key not in found
        found[key] = each
    return found


@needs_crds
@pytest.mark.parametrize(("settings", "fields"), CASES.values(), ids=CASES)
def test_the_real_schemas_take_every_object(settings, fields):
    found = objects(settings, **fields)

    assert {key: errors_of(each) for key, each in found.items()} == {key: [] for key in found}


@needs_crds
def test_the_schemas_refuse_what_is_not_known_and_what_has_the_wrong_type():
    made = objects(SETTINGS)
    vmi, volume = made["VirtualMachineInstance"], made["root"]
    devices = {**vmi["spec"]["domain"]["devices"], "gpu": []}
    wrong = {**vmi, "spec": {**vmi["spec"], "domain": {**vmi["spec"]["domain"], "devices": devices}}}
    service = made["Service"]

    assert any("'gpu' was unexpected" in error for error in errors_of(wrong))
    assert errors_of({**vmi, "spec": {**vmi["spec"], "terminationGracePeriodSeconds": "long"}})
    assert errors_of({**volume, "spec": {**volume["spec"], "source": {"registery": {}}}})
    assert errors_of({**service, "spec": {**service["spec"], "clusterIp": "None"}})


@pytest.mark.parametrize(("settings", "fields"), CASES.values(), ids=CASES)
def test_everything_is_owned_by_the_anchor_and_nothing_by_a_machine(settings, fields):
    found = objects(settings, **fields)
    top = found.pop("ConfigMap")

    assert "ownerReferences" not in top["metadata"]
    for each in found.values():
        (owner,) = each["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == (
            "ConfigMap",
            top["metadata"]["name"],
            ANCHOR_UID,
        )
        assert owner_of(each["metadata"]["labels"]).job_id == JOB_ID


def test_one_entry_is_one_gpu_and_the_product_is_demanded_while_the_node_is_preferred():
    spec = objects(SETTINGS)["VirtualMachineInstance"]["spec"]
    affinity = spec["affinity"]["nodeAffinity"]

    assert spec["domain"]["devices"]["gpus"] == [
        {"name": "gpu0", "deviceName": "nvidia.com/GA100_A100_SXM4_80GB"},
        {"name": "gpu1", "deviceName": "nvidia.com/GA100_A100_SXM4_80GB"},
    ]
    demanded = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert demanded == [
        {
            "matchExpressions": [
                {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-A100-SXM4-80GB"]}
            ]
        }
    ]
    (preferred,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["preference"]["matchExpressions"][0]["values"] == ["gpu-node-1"]


def test_the_cores_are_asked_for_whole_unless_they_are_the_machines_own():
    domain = objects(SETTINGS, cpu_cores=2.5)["VirtualMachineInstance"]["spec"]["domain"]
    own = objects(EVERYTHING, cpu_cores=4)["VirtualMachineInstance"]["spec"]["domain"]

    assert (domain["cpu"]["cores"], domain["resources"]) == (3, {"requests": {"cpu": "2500m"}})
    assert own["cpu"]["dedicatedCpuPlacement"] is True
    assert "resources" not in own


def test_the_machine_has_longer_to_go_down_than_its_server():
    spec = objects(SETTINGS)["VirtualMachineInstance"]["spec"]

    assert (
        spec["terminationGracePeriodSeconds"] == GUEST.shutdown_timeout_seconds + SETTINGS.stop_margin_seconds
    )


def test_liveness_waits_for_as_long_as_a_start_may_take():
    spec = objects(SETTINGS, initialization_seconds=5400)["VirtualMachineInstance"]["spec"]

    assert spec["livenessProbe"]["initialDelaySeconds"] == 5400
    assert spec["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8000, "scheme": "HTTP"}


@pytest.mark.parametrize(("settings", "fields"), CASES.values(), ids=CASES)
def test_every_disk_has_a_volume_and_every_volume_a_disk(settings, fields):
    spec = objects(settings, **fields)["VirtualMachineInstance"]["spec"]
    devices = spec["domain"]["devices"]
    disks = [each["name"] for each in (*devices["disks"], *devices.get("filesystems", ()))]

    assert sorted(disks) == sorted(volume["name"] for volume in spec["volumes"])


@pytest.mark.parametrize(("settings", "fields"), CASES.values(), ids=CASES)
def test_the_volumes_of_a_machine_are_the_ones_that_are_made(settings, fields):
    found = objects(settings, **fields)
    volumes = found["VirtualMachineInstance"]["spec"]["volumes"]
    named = {volume["dataVolume"]["name"] for volume in volumes if "dataVolume" in volume}
    named |= {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes
        if "persistentVolumeClaim" in volume
    }

    assert named == {found[key]["metadata"]["name"] for key in ("root", "cache") if key in found}


def test_a_shared_cache_is_a_file_system_and_never_a_disk_with_two_writers():
    found = objects(cluster(cache_shared=True))
    devices = found["VirtualMachineInstance"]["spec"]["domain"]["devices"]

    assert found["cache"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert devices["filesystems"] == [{"name": "hostler-cache", "virtiofs": {}}]
    assert [disk["name"] for disk in devices["disks"]] == ["root", "cloudinit"]


def test_a_replacement_takes_over_the_disks_of_its_predecessor():
    old = objects(SETTINGS)
    new = objects(
        SETTINGS,
        replica_id="01939e00-0000-7000-8000-0000000000a2",
        root_disk=old["root"]["metadata"]["name"],
        cache=old["cache"]["metadata"]["name"],
    )

    assert new["root"]["metadata"]["name"] == old["root"]["metadata"]["name"]
    assert new["cache"]["spec"] == old["cache"]["spec"]
    assert (
        new["VirtualMachineInstance"]["metadata"]["name"] != old["VirtualMachineInstance"]["metadata"]["name"]
    )


def test_no_secret_is_anywhere_but_in_the_secret():
    found = objects(SETTINGS)
    told = base64.b64decode(found.pop("Secret")["data"]["userdata"]).decode()

    assert "hsr_secret-of-the-replica" not in str(found)
    assert "hsr_secret-of-the-replica" not in repr(machine())
    assert told.startswith("#cloud-config\n")
    volumes = {volume["name"]: volume for volume in found["VirtualMachineInstance"]["spec"]["volumes"]}
    assert volumes["cloudinit"] == {
        "name": "cloudinit",
        "cloudInitNoCloud": {"secretRef": {"name": found["VirtualMachineInstance"]["metadata"]["name"]}},
    }


def test_routers_and_provisioners_reach_the_port_and_nobody_else_reaches_anything():
    spec = objects(SETTINGS)["NetworkPolicy"]["spec"]

    (allowed,) = spec["ingress"]
    assert allowed["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert [peer["podSelector"]["matchLabels"] for peer in allowed["from"]] == [
        {"app.kubernetes.io/component": "router"},
        {"app.kubernetes.io/component": "provisioner"},
    ]
    # A peer that selects no namespace would mean the replicas' own, one with an empty selector all.
    assert all(peer["namespaceSelector"]["matchLabels"] for peer in allowed["from"])
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    # Nobody at all in a rule would mean everybody.
    assert all(rule.get("to", ["names"]) for rule in spec["egress"])
    outside = [rule for rule in spec["egress"] if "to" in rule]
    assert outside[0]["to"][0]["ipBlock"]["except"] == list(SETTINGS.network.private_blocks)


def test_nobody_logs_in_to_a_workspace_unless_the_operator_says_who():
    closed = network_policy(SETTINGS, "default", JOB_ID, None, ANCHOR_UID)
    opened = network_policy(EVERYTHING, "default", JOB_ID, None, ANCHOR_UID)

    assert closed["spec"]["ingress"] == []
    assert opened["spec"]["ingress"] == [
        {
            "from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}],
            "ports": [{"protocol": "TCP", "port": 22}],
        }
    ]


@pytest.mark.parametrize(
    ("settings", "image", "words"),
    [
        (SETTINGS, "pvc://guest-1", "no namespace with images"),
        (cluster(image_namespace="images"), "pvc://default/somebodys-disk", "without a namespace"),
        (SETTINGS, "ftp://images.example/guest", "must be a containerDisk"),
        (cluster(volumes=False), "https://images.example/guest.qcow2", "no storage to import"),
    ],
)
def test_an_image_that_can_not_be_used_is_refused_by_name(settings, image, words):
    with pytest.raises(PermanentError, match=f"runtime_image '{image}'.*{words}"):
        objects(settings, image=image)


def test_a_service_of_a_job_selects_its_machines_and_no_others():
    found = objects(SETTINGS)
    selector = found["Service"]["spec"]["selector"]
    other = objects(SETTINGS, job_id="01939e00-0000-7000-8000-000000000002")

    assert selector.items() <= found["VirtualMachineInstance"]["metadata"]["labels"].items()
    assert not selector.items() <= other["VirtualMachineInstance"]["metadata"]["labels"].items()
    assert MANAGED_BY_LABEL in found["VirtualMachineInstance"]["metadata"]["labels"]
