"""Settings of the provisioner (`HOSTLER_PROVISIONER_...`)."""

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from hostler_kit.settings import OpsSettings, SettingsGroup


class BackendKind(StrEnum):
    """Where replicas run."""

    LOCAL = "local"
    KUBEVIRT = "kubevirt"


class KubernetesSettings(SettingsGroup):
    """The cluster of the `kubevirt` backend."""

    model_config = SettingsConfigDict(env_prefix="HOSTLER_PROVISIONER_KUBERNETES_")

    kubeconfig: Path | None = None
    """File that says where the cluster is and who asks; without it the provisioner runs as a pod of the cluster itself."""
    context: str | None = None
    """Context of that file; its current one where it is not set."""
    namespace: str = Field(default="hostler-replicas", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Namespace in which everything is made."""
    images: Mapping[str, str] = Field(default_factory=dict)
    """Machine image by runtime, for jobs that name none: a JSON object such as `{"vllm": "docker://registry/guest:1"}`."""
    volumes: bool = True
    """Whether machines have root disks that outlive them; otherwise they boot from a containerDisk."""
    storage_class: str | None = None
    """Storage class of root disks; the cluster's own choice where it is not set."""
    local_storage: bool = False
    """Whether a disk can only be used on the node where it was made, so that a free one fits only there."""
    root_disk_gb: int = Field(default=60, ge=1)
    """Size of a root disk, where the job names none."""
    cache_storage_class: str | None = None
    """Storage class of model caches; the cluster's own choice where it is not set."""
    cache_shared: bool = False
    """Whether all replicas of a job share one cache; the class must be mountable by many nodes."""
    cache_gb: int = Field(default=200, ge=0)
    """Size of a model cache; 0 for none, so that weights go to the root disk."""
    image_namespace: str | None = None
    """Namespace with images to clone disks from (`pvc://` and `snapshot://`); none may be cloned where it is not set."""
    import_secret: str | None = None
    """Secret with which disks are imported from registries and web servers."""
    pull_secret: str | None = None
    """Secret with which nodes pull containerDisks."""
    callers_namespace: str = "hostler"
    """Namespace of the routers and provisioners, whose pods alone may call the machines' servers."""
    login_namespace: str | None = None
    """Namespace whose pods may reach SSH of machines that people log in to; closed where it is not set."""
    egress_blocks: tuple[str, ...] = ()
    """Address blocks that machines may reach besides names and HTTPS outside: a JSON list such as `["10.1.0.0/16"]`."""
    dedicated_cpus: bool = False
    """Whether a machine gets whole physical cores of its own."""
    shutdown_timeout_seconds: int = Field(default=120, ge=1)
    """How long a server that is told to end may go on with the requests that it has."""
    ngc_api_key_file: Path | None = None
    """File with NVIDIA's key for NIM containers and their models, for clusters that run them."""
    request_timeout_seconds: float = Field(default=10.0, gt=0)
    """For one call of the API server."""
    requests_max: int = Field(default=16, ge=1)
    """Calls at once."""
    unreachable_seconds: float = Field(default=30.0, gt=0)
    """A cluster that has not answered for this long can't be reached: its jobs become Unknown, and nothing is deleted."""
    deletion_deadline_seconds: float = Field(default=300.0, gt=0)
    """A machine that takes longer to go is stuck, which the metric `hostler_provisioner_stuck_deletions` counts."""
    probe_period_seconds: float = Field(default=1.0, gt=0)
    """Between two looks at the health page of a server."""


class ProvisionerSettings(OpsSettings):
    """Settings of the provisioner."""

    model_config = SettingsConfigDict(env_prefix="HOSTLER_PROVISIONER_")

    backend: BackendKind = BackendKind.LOCAL
    """Where replicas run: `local` for processes of this machine, `kubevirt` for virtual machines of a Kubernetes cluster."""
    cluster: str = Field(default="local", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Name of the cluster whose replicas it runs, as placements name it: letters, digits, `_` and `-`."""
    data_dir: Path = Field(default=Path(".hostler"), validation_alias="HOSTLER_DATA_DIR")
    """Folder under which the `local` backend keeps a folder per replica."""
    location: str | None = None
    """Site of the cluster, which a job may ask for, such as `dallas`."""
    instance: str = Field(default="", validation_alias="HOSTLER_INSTANCE")
    """Mark that the replicas' processes carry, by which `hostler up` finds every process of its stack."""
    model_paths: Mapping[str, Path] = Field(default_factory=dict)
    """Further models that the `local` backend can serve: a JSON object from Hugging Face id to a GGUF file, or a
    folder with a Whisper model of CTranslate2, on this machine."""
    replica_bind_address: IPv4Address = IPv4Address("127.0.0.1")
    """Address on which the replicas of the `local` backend listen, and `0.0.0.0` for all of the machine's: for routers elsewhere, such
    as in another container. What callers send then crosses that network unencrypted; the replicas ask for their key as ever."""
    replica_host: str = Field(default="", pattern=r"^[A-Za-z0-9.-]*$")
    """Name or address under which routers reach the replicas; the address above where it is empty. A replica that runs already
    keeps listening where it was started to."""
    node_cpu_cores: float | None = None
    """CPU cores offered to replicas; all of the machine's where it is not set."""
    stop_replicas_on_exit: bool = False
    """Whether replicas end with the provisioner when it is told to stop. `hostler up` sets it; without it they keep serving and the
    next provisioner adopts them."""
    drain_timeout_seconds: float = 600.0
    """Longest wait for the requests of a draining replica; those left after it fail."""
    stop_grace_seconds: float = 10.0
    """Time between asking a replica's process to end and ending it by force."""
    unhealthy_timeout_seconds: float = 30.0
    """A replica that was ready and has not answered for this long is given up and replaced."""
    node_report_seconds: float = 10.0
    """How often the node's capacity is written, which is also its sign of life."""
    lease_seconds: int = 5
    """Time to live of the leader's lease."""
    resync_seconds: float = 2.0
    """Longest time between two looks at everything."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.replica_bind_address.is_unspecified and not self.replica_host:
            raise ValueError(
                "HOSTLER_PROVISIONER_REPLICA_HOST must say under which name routers reach the replicas"
            )
        return self
