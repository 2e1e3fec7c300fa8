"""What a cluster's nodes have for replicas: from its nodes and pods to facts. Pure.

Of what a node can give, what others have taken is subtracted; our own machines are not, because the scheduler knows what it has placed.
A node that takes no machines (not ready, cordoned, or without KubeVirt) is left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from hostler_provisioner.backend import NodeFacts
from hostler_provisioner.kubevirt.names import MANAGED_BY, MANAGED_BY_LABEL
from hostler_provisioner.kubevirt.reading import JsonObject, at, items, mapping, name_of, text, texts

_GPU_PREFIX: Final = "nvidia.com/"
_PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
_MACHINE_OVERHEAD_BYTES: Final = 512 * 2**20
"""Of each machine's memory beyond its guest's, roughly what KubeVirt asks for; kept free once for each GPU, and once for the node."""
_SUFFIXES: Final[Mapping[str, int]] = {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
}


def node_facts(
    nodes: Iterable[JsonObject], pods: Iterable[JsonObject], runtimes: Mapping[str, tuple[str, ...] | None]
) -> tuple[NodeFacts, ...]:
    """The facts of every node that takes machines, by name.

    Args:
        nodes: All nodes.
        pods: All pods of all namespaces.
        runtimes: Kinds of inference server that machines can run, each with the models that it can serve; None means any.
    """
    taken: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for pod in pods:
        node = text(pod, "spec", "nodeName")
        ours = texts(pod, "metadata", "labels").get(MANAGED_BY_LABEL) == MANAGED_BY
        if node and not ours and text(pod, "status", "phase") not in ("Succeeded", "Failed"):
            for name, amount in pod_requests(pod).items():
                taken[node][name] += amount
    return tuple(
        _facts(node, taken[name_of(node)], runtimes)
        for node in sorted(nodes, key=name_of)
        if takes_machines(node)
    )


def takes_machines(node: JsonObject) -> bool:
    """Whether machines can be started on a node."""
    ready = any(
        text(each, "type") == "Ready" and text(each, "status") == "True"
        for each in items(node, "status", "conditions")
    )
    cordoned = at(node, "spec", "unschedulable") is True
    return (
        ready and not cordoned and texts(node, "metadata", "labels").get("kubevirt.io/schedulable") == "true"
    )


def pod_requests(pod: JsonObject) -> dict[str, Decimal]:
    """What a pod asks for: its containers together, or one of those that run before them if that asks for more."""
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for container in items(pod, "spec", "containers"):
        for name, amount in _requests(container).items():
            total[name] += amount
    for container in items(pod, "spec", "initContainers"):
        for name, amount in _requests(container).items():
            total[name] = max(total[name], amount)
    return dict(total)


def quantity(value: object) -> Decimal:
    """An amount as Kubernetes writes it, such as `64`, `500m` or `512Gi`; 0 for what is none."""
    words = str(value) if isinstance(value, str | int | float) else ""
    try:
        for suffix, factor in _SUFFIXES.items():
            if words.endswith(suffix):
                return Decimal(words.removesuffix(suffix)) * factor
        if words.endswith("m"):
            return Decimal(words.removesuffix("m")) / 1000
        return Decimal(words)
    except InvalidOperation:
        return Decimal(0)


def product_of(device: str | None, label: str | None) -> str | None:
    """A GPU's model as hardware profiles name it: `nvidia.com/GA100_A100_SXM4_80GB` is an `A100-SXM4-80GB`.

    The device's name goes before the label, because it is what a machine claims; a name that says no model leaves it to the label.
    """
    if device is None:
        return None
    _, chip, model = device.removeprefix(_GPU_PREFIX).partition("_")
    if chip and model:
        return model.replace("_", "-")
    return label.removeprefix("NVIDIA-") if label else device.removeprefix(_GPU_PREFIX)


def _requests(container: JsonObject) -> dict[str, Decimal]:
    # A request that is left out is as large as the limit; that of a device always is.
    limits, requests = mapping(container, "resources", "limits"), mapping(container, "resources", "requests")
    return {name: quantity(each) for name, each in {**limits, **requests}.items()}


def _facts(
    node: JsonObject, taken: Mapping[str, Decimal], runtimes: Mapping[str, tuple[str, ...] | None]
) -> NodeFacts:
    allocatable = {
        name: quantity(each) - taken.get(name, Decimal(0))
        for name, each in mapping(node, "status", "allocatable").items()
    }
    devices = {
        name: max(int(amount), 0)
        for name, amount in sorted(allocatable.items())
        if name.startswith(_GPU_PREFIX)
    }
    # A node with several kinds offers the one that it has most of: a placement counts GPUs of one kind.
    device = max(devices, key=lambda each: devices[each], default=None)
    gpus = devices[device] if device else 0
    memory = int(allocatable.get("memory", Decimal(0))) - _MACHINE_OVERHEAD_BYTES * (gpus + 1)
    return NodeFacts(
        hostname=name_of(node),
        cpu_cores=max(float(allocatable.get("cpu", Decimal(0))), 0.0),
        memory_bytes=max(memory, 0),
        models_by_runtime=runtimes,
        gpus=gpus,
        gpu_model=product_of(device, texts(node, "metadata", "labels").get(_PRODUCT_LABEL)),
        device_name=device,
    )
