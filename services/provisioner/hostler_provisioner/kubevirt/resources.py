"""The kinds of Kubernetes object that the backend deals with, and where their paths are. Pure."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object.

    Attributes:
        group: Its API group; empty for the core group.
        version: Of the group.
        plural: The word in paths.
        kind: The word in manifests.
        namespaced: Whether it lies in a namespace.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests have it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str | None = None) -> str:
        """Path of the collection, or of the object with this name; without a namespace that of all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        tail = f"/{quote(name, safe='')}" if name is not None else ""
        return f"{root}{place}/{self.plural}{tail}"


MACHINES: Final = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance")
DATA_VOLUMES: Final = Resource("cdi.kubevirt.io", "v1beta1", "datavolumes", "DataVolume")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
SERVICES: Final = Resource("", "v1", "services", "Service")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)

WATCHED: Final = (MACHINES, DATA_VOLUMES, CLAIMS, CONFIG_MAPS)
"""What the backend keeps a copy of. Secrets are not among them: it may not even list them."""

OF_A_JOB: Final = (MACHINES, DATA_VOLUMES, CLAIMS, SERVICES, NETWORK_POLICIES, CONFIG_MAPS)
"""What is looked for by label when a job goes; its Secrets go with their owner."""


def resource_of(manifest_api_version: str, kind: str) -> Resource:
    """The kind of a manifest.

    Raises:
        KeyError: none of the above.
    """
    return _BY_KIND[manifest_api_version, kind]


_BY_KIND: Final = {
    (each.api_version, each.kind): each
    for each in (
        MACHINES,
        DATA_VOLUMES,
        CLAIMS,
        CONFIG_MAPS,
        SECRETS,
        SERVICES,
        NETWORK_POLICIES,
        PODS,
        NODES,
    )
}
