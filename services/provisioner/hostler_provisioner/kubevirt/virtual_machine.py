"""The virtual machine of a replica, as a bare VirtualMachineInstance.

Pure; called by `manifests`. Bare, because the provisioner itself replaces what ends, and a restart is a new machine on the same disks.
"""

import math

from hostler_provisioner.kubevirt.cloud_init import CACHE_SERIAL, CACHE_TAG
from hostler_provisioner.kubevirt.documents import Json, Manifest, replica_metadata
from hostler_provisioner.kubevirt.guest import HttpCheck
from hostler_provisioner.kubevirt.machine import Cache, ClusterSettings, Firmware, Machine, grace_seconds
from hostler_provisioner.kubevirt.storage import container_disk

SSH_PORT = 22
_MIB = 2**20
_NETWORK = "default"


def virtual_machine(settings: ClusterSettings, machine: Machine, anchor_uid: str) -> Manifest:
    """The machine itself; its Secret has the machine's own name."""
    spec: dict[str, Json] = {
        "hostname": machine.name,
        "domain": _domain(settings, machine),
        "networks": [{"name": _NETWORK, "pod": {}}],
        "volumes": _volumes(settings, machine),
        "evictionStrategy": settings.eviction_strategy.value,
        "terminationGracePeriodSeconds": grace_seconds(machine, settings),
        **_affinity(settings, machine),
        **_probes(machine),
    }
    if settings.node_selector:
        spec["nodeSelector"] = settings.node_selector
    if settings.priority_class:
        spec["priorityClassName"] = settings.priority_class
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": replica_metadata(settings, machine.name, machine, anchor_uid),
        "spec": spec,
    }


def _domain(settings: ClusterSettings, machine: Machine) -> Json:
    cpu: dict[str, Json] = {"sockets": 1, "cores": max(1, math.ceil(machine.cpu_cores)), "threads": 1}
    resources: dict[str, Json] = {}
    if settings.dedicated_cpus:
        cpu["dedicatedCpuPlacement"] = True
    else:
        # KubeVirt would ask for a tenth of each core, and ten machines would share what the scheduler gave to one.
        resources = {"resources": {"requests": {"cpu": f"{round(machine.cpu_cores * 1000)}m"}}}
    return {
        "cpu": cpu,
        **resources,
        "memory": {"guest": f"{machine.memory_bytes // _MIB}Mi"},
        "machine": {"type": "q35"},
        "firmware": {"bootloader": _bootloader(settings.firmware)},
        "devices": _devices(settings, machine),
    }


def _bootloader(firmware: Firmware) -> Json:
    match firmware:
        case Firmware.EFI:
            # The driver's modules are built in the image, and nobody signs them.
            return {"efi": {"secureBoot": False}}
        case Firmware.BIOS:
            return {"bios": {}}


def _devices(settings: ClusterSettings, machine: Machine) -> Json:
    disks: list[Json] = [
        {"name": "root", "bootOrder": 1, "disk": {"bus": "virtio"}},
        {"name": "cloudinit", "disk": {"bus": "virtio"}},
    ]
    devices: dict[str, Json] = {}
    match settings.storage.cache:
        case Cache.DISK | Cache.EMPTY:
            disks.append({"name": "cache", "serial": CACHE_SERIAL, "disk": {"bus": "virtio"}})
        case Cache.SHARED:
            devices["filesystems"] = [{"name": CACHE_TAG, "virtiofs": {}}]
        case Cache.NONE:
            pass
    if machine.gpu_count:
        # One entry is one device.
        devices["gpus"] = [
            {"name": f"gpu{index}", "deviceName": machine.gpu_device} for index in range(machine.gpu_count)
        ]
    port = SSH_PORT if machine.guest.port is None else machine.guest.port
    return {
        **devices,
        "disks": disks,
        # Only the ports that are listed are forwarded to the guest.
        "interfaces": [
            {
                "name": _NETWORK,
                "model": "virtio",
                "masquerade": {},
                "ports": [{"name": "serve", "port": port, "protocol": "TCP"}],
            }
        ],
        "rng": {},
        "autoattachGraphicsDevice": False,
        "autoattachSerialConsole": True,
        # What the guest writes on its console is what `hostler logs` shows.
        "logSerialConsole": True,
    }


def _volumes(settings: ClusterSettings, machine: Machine) -> Json:
    storage = settings.storage
    root: dict[str, Json]
    if machine.root_disk is not None:
        root = {"name": "root", "dataVolume": {"name": machine.root_disk}}
    else:
        disk: dict[str, Json] = {"image": container_disk(machine.image), "imagePullPolicy": "IfNotPresent"}
        if storage.pull_secret:
            disk["imagePullSecret"] = storage.pull_secret
        root = {"name": "root", "containerDisk": disk}
    volumes: list[Json] = [
        root,
        {"name": "cloudinit", "cloudInitNoCloud": {"secretRef": {"name": machine.name}}},
    ]
    match storage.cache:
        case Cache.DISK:
            volumes.append({"name": "cache", "dataVolume": {"name": machine.cache}})
        case Cache.SHARED:
            volumes.append({"name": CACHE_TAG, "persistentVolumeClaim": {"claimName": machine.cache}})
        case Cache.EMPTY:
            volumes.append({"name": "cache", "emptyDisk": {"capacity": f"{storage.cache_gb}Gi"}})
        case Cache.NONE:
            pass
    return volumes


def _affinity(settings: ClusterSettings, machine: Machine) -> dict[str, Json]:
    """The GPU's product is demanded, the scheduler's node preferred: where Kubernetes knows better, the node it took is what counts."""
    affinity: dict[str, Json] = {}
    if machine.gpu_product is not None and settings.gpu_product_label:
        terms = [_expression(settings.gpu_product_label, machine.gpu_product)]
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": terms}]
        }
    if machine.node is not None:
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {
                "weight": 100,
                "preference": {"matchExpressions": [_expression("kubernetes.io/hostname", machine.node)]},
            }
        ]
    return {"affinity": {"nodeAffinity": affinity}} if affinity else {}


def _expression(key: str, value: str) -> Json:
    return {"key": key, "operator": "In", "values": [value]}


def _probes(machine: Machine) -> dict[str, Json]:
    """Readiness takes a machine out of its Service; liveness ends one that has hung long after the provisioner should have seen it."""
    health = machine.guest.health
    if health is None:
        return {}
    return {
        "readinessProbe": {**_http(health), "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 3},
        "livenessProbe": {
            **_http(health),
            # Weights may be loading for as long as the job allows.
            "initialDelaySeconds": machine.initialization_seconds,
            "periodSeconds": 20,
            "timeoutSeconds": 10,
            "failureThreshold": 9,
        },
    }


def _http(check: HttpCheck) -> dict[str, Json]:
    return {"httpGet": {"path": check.path, "port": check.port, "scheme": "HTTP"}}
