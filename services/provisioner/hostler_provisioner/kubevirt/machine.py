"""What manifests are made from: a cluster as its operator describes it, and one replica's machine.

Pure values. The backend makes `ClusterSettings` once from its settings and a `Machine` per replica; whether a machine stands on
disks of its own or takes over those of a predecessor is said by their names in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from hostler_provisioner.kubevirt.guest import Guest
from hostler_provisioner.kubevirt.names import cache_name, replica_cache_name, replica_name, root_disk_name


class EvictionStrategy(StrEnum):
    """What happens to a machine when its node is drained; a machine with a GPU can't be migrated."""

    EXTERNAL = "External"
    """It is protected, and `status.evacuationNodeName` tells the provisioner to drain its requests and replace it."""
    NONE = "None"
    """It is shut down at once, with the requests on it."""


class Firmware(StrEnum):
    """What starts a machine."""

    EFI = "efi"
    """What the image of `deploy/images` needs, and large GPUs like best."""
    BIOS = "bios"


class Cache(StrEnum):
    """How a machine keeps model weights."""

    NONE = "none"
    """On its root disk."""
    EMPTY = "empty"
    """On a disk that goes with the machine, in a cluster without storage."""
    DISK = "disk"
    """On a volume of its own."""
    SHARED = "shared"
    """On a volume of all replicas of the job, as a file system."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Pods that may speak to a replica, by the labels of their namespace and their own."""

    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    pod_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Storage:
    """How disks are made.

    Attributes:
        volumes: Whether there is storage: a replica's root disk is a DataVolume then; otherwise the machine boots from a containerDisk
            and keeps weights on a disk that goes with it.
        root_storage_class: Of root disks; None for the cluster's own choice.
        cache_storage_class: Of model caches; None likewise.
        cache_shared: Whether all replicas of a job share one cache: it must be mountable by many nodes, and comes into the guests as
            a file system (virtiofs), since a disk with two writers would be ruined.
        root_disk_gb: Size of a root disk, where the job names none.
        cache_gb: Size of a model cache; 0 for none, so that weights go to the root disk.
        image_namespace: Namespace with images to clone from (`pvc://` and `snapshot://`); None allows none.
        import_secret: Secret with which CDI reads registries and web servers (`accessKeyId`, `secretKey`); None for none.
        pull_secret: Secret with which nodes pull containerDisks (`.dockerconfigjson`); None for none.
    """

    volumes: bool = True
    root_storage_class: str | None = None
    cache_storage_class: str | None = None
    cache_shared: bool = False
    root_disk_gb: int = 60
    cache_gb: int = 200
    image_namespace: str | None = None
    import_secret: str | None = None
    pull_secret: str | None = None

    @property
    def cache(self) -> Cache:
        """How machines keep weights here."""
        if not self.cache_gb:
            return Cache.NONE
        if not self.volumes:
            return Cache.EMPTY
        return Cache.SHARED if self.cache_shared else Cache.DISK


@dataclass(frozen=True, slots=True)
class Network:
    """Who may speak to whom.

    Attributes:
        callers: Pods that may call a replica's port: the routers, and the provisioner for its own probes.
        login_callers: Pods that may reach SSH of a workspace; with none it is closed.
        egress_blocks: Address blocks that replicas may reach on any port, besides names and HTTPS outside.
        private_blocks: Address blocks that HTTPS outside does not include.
    """

    callers: tuple[Peer, ...] = (
        Peer({"kubernetes.io/metadata.name": "hostler"}, {"app.kubernetes.io/component": "router"}),
        Peer({"kubernetes.io/metadata.name": "hostler"}, {"app.kubernetes.io/component": "provisioner"}),
    )
    login_callers: tuple[Peer, ...] = ()
    egress_blocks: tuple[str, ...] = ()
    private_blocks: tuple[str, ...] = (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """A KubeVirt cluster.

    Attributes:
        cluster: Its name in placements.
        namespace: Where everything is made.
        images: Machine image by runtime, for jobs that name none.
        storage: How disks are made.
        network: Who may speak to whom.
        gpu_product_label: Label of nodes that names their GPU, to pin a machine to the right one; None trusts the device's name.
        dedicated_cpus: Whether a machine gets whole physical cores of its own.
        eviction_strategy: What happens when a node is drained.
        stop_margin_seconds: What the machine needs to go down once its server has ended.
        node_selector: Labels that a node must have besides.
        firmware: What starts the machine; the images must be made for it.
        priority_class: Kubernetes' own, for all machines; None for the default.
    """

    cluster: str
    namespace: str = "hostler-replicas"
    images: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    storage: Storage = field(default_factory=Storage)
    network: Network = field(default_factory=Network)
    gpu_product_label: str | None = "nvidia.com/gpu.product"
    dedicated_cpus: bool = False
    eviction_strategy: EvictionStrategy = EvictionStrategy.EXTERNAL
    stop_margin_seconds: int = 30
    node_selector: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    firmware: Firmware = Firmware.EFI
    priority_class: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """One replica's virtual machine.

    Attributes:
        job_id: The job it serves.
        project: The job's project.
        replica_id: The replica.
        generation: The job's generation that it is made from.
        runtime: The runtime's name, for a label.
        image: What it boots, as `root_source` reads it.
        cpu_cores: Virtual cores, rounded up.
        memory_bytes: Memory of the guest.
        guest: What runs in it.
        node: Host that the scheduler chose, which is preferred and not forced; None for none.
        gpu_product: GPU that its node must have, as the nodes' label says it; None for no such demand.
        gpu_device: Resource that claims one GPU, the profile's `device_name`.
        gpu_count: How many.
        root_disk_gb: Size of its root disk; None for the cluster's own.
        root_disk: Name of its root disk, its own or that of the replica whose disk it takes over; None without storage. `own_disks`.
        cache: Name of its model cache likewise; None for one that is no volume.
        initialization_seconds: How long its start may take.
    """

    job_id: str
    project: str
    replica_id: str
    generation: int
    runtime: str
    image: str
    cpu_cores: float
    memory_bytes: int
    guest: Guest
    root_disk: str | None
    cache: str | None
    node: str | None = None
    gpu_product: str | None = None
    gpu_device: str | None = None
    gpu_count: int = 0
    root_disk_gb: int | None = None
    initialization_seconds: int = 1800

    @property
    def name(self) -> str:
        """The name of the machine and its Secret."""
        return replica_name(self.job_id, self.replica_id, self.generation)


def own_disks(
    settings: ClusterSettings, job_id: str, replica_id: str, generation: int
) -> tuple[str | None, str | None]:
    """The names of the root disk and the model cache of a replica that takes over nobody's; None for one that is no volume."""
    root = root_disk_name(job_id, replica_id, generation) if settings.storage.volumes else None
    match settings.storage.cache:
        case Cache.NONE | Cache.EMPTY:
            return root, None
        case Cache.DISK:
            return root, replica_cache_name(job_id, replica_id, generation)
        case Cache.SHARED:
            return root, cache_name(job_id)


def grace_seconds(machine: Machine, settings: ClusterSettings) -> int:
    """Between the order to shut a machine down and its end by force: what its server needs for its requests, and then the machine."""
    return machine.guest.shutdown_timeout_seconds + settings.stop_margin_seconds
