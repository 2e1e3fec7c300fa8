"""Which resources the fake API server knows, and what each can do.

The table says of KubeVirt's and CDI's resources what their definitions say (a test holds it against the files); the schemas are
read from the definitions when an object of theirs is first written, since parsing them takes half a second each.
"""

import os
from dataclasses import dataclass
from pathlib import Path

CRDS_VARIABLE = "HOSTLER_KUBEVIRT_CRDS"
_REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object: where it is served and how it behaves."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    custom: bool = False
    status: bool = False
    """Whether it has the status subresource; without it status is an ordinary field."""
    scale: bool = False
    counts_generations: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def store_key(self) -> tuple[str, str]:
        return (self.group, self.plural)


def _custom(group: str, version: str, plural: str, kind: str, **kwargs: bool) -> Resource:
    return Resource(group, version, plural, kind, custom=True, counts_generations=True, **kwargs)


def _built_in(plural: str, kind: str, group: str = "", version: str = "v1", **kwargs: bool) -> Resource:
    return Resource(group, version, plural, kind, **kwargs)


VMIS = _custom("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance")
DATA_VOLUMES = _custom("cdi.kubevirt.io", "v1beta1", "datavolumes", "DataVolume", status=True)
NAMESPACES = _built_in("namespaces", "Namespace", namespaced=False, status=True)
NODES = _built_in("nodes", "Node", namespaced=False, status=True)
PODS = _built_in("pods", "Pod", status=True, counts_generations=True)
CONFIG_MAPS = _built_in("configmaps", "ConfigMap")
SECRETS = _built_in("secrets", "Secret")
SERVICES = _built_in("services", "Service", status=True)
SERVICE_ACCOUNTS = _built_in("serviceaccounts", "ServiceAccount")
CLAIMS = _built_in("persistentvolumeclaims", "PersistentVolumeClaim", status=True)
EVENTS = _built_in("events", "Event")
ROLES = _built_in("roles", "Role", "rbac.authorization.k8s.io")
ROLE_BINDINGS = _built_in("rolebindings", "RoleBinding", "rbac.authorization.k8s.io")
CLUSTER_ROLES = _built_in("clusterroles", "ClusterRole", "rbac.authorization.k8s.io", namespaced=False)
CLUSTER_ROLE_BINDINGS = _built_in(
    "clusterrolebindings", "ClusterRoleBinding", "rbac.authorization.k8s.io", namespaced=False
)

RESOURCES = (
    VMIS,
    DATA_VOLUMES,
    NAMESPACES,
    NODES,
    PODS,
    CONFIG_MAPS,
    SECRETS,
    SERVICES,
    SERVICE_ACCOUNTS,
    CLAIMS,
    EVENTS,
    ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
    _built_in("networkpolicies", "NetworkPolicy", "networking.k8s.io", counts_generations=True),
    _built_in("leases", "Lease", "coordination.k8s.io"),
    _built_in("storageclasses", "StorageClass", "storage.k8s.io", namespaced=False),
    _custom("cdi.kubevirt.io", "v1beta1", "datasources", "DataSource"),
    _custom("kubevirt.io", "v1", "virtualmachines", "VirtualMachine", status=True),
    _custom(
        "kubevirt.io",
        "v1",
        "virtualmachineinstancereplicasets",
        "VirtualMachineInstanceReplicaSet",
        status=True,
        scale=True,
    ),
    _custom(
        "kubevirt.io",
        "v1",
        "virtualmachineinstancemigrations",
        "VirtualMachineInstanceMigration",
        status=True,
    ),
    _custom(
        "pool.kubevirt.io", "v1beta1", "virtualmachinepools", "VirtualMachinePool", status=True, scale=True
    ),
)
_BY_PATH = {(each.group, each.version, each.plural): each for each in RESOURCES}
_BY_KIND = {(each.api_version, each.kind): each for each in RESOURCES}


def resource_at(group: str, version: str, plural: str) -> Resource | None:
    return _BY_PATH.get((group, version, plural))


def resource_of_kind(api_version: str, kind: str) -> Resource | None:
    return _BY_KIND.get((api_version, kind))


def definitions_folder() -> Path | None:
    """Where the definitions of KubeVirt and CDI lie on this machine, if they do: they are kept out of the repository."""
    named = os.environ.get(CRDS_VARIABLE)
    folder = Path(named) if named else _REPOSITORY.parent / "shared" / "kubevirt-crds"
    return folder if folder.is_dir() else None
