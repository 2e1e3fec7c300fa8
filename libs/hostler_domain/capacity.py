"""What machines have, what replicas take of it, and what is left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hostler_domain.catalogue import HardwareProfile

CPU_CORES_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of machine: what a node has, or what a replica takes of it."""

    cpu_cores: float = 0.0
    memory_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        """Both together."""
        return Resources(
            self.cpu_cores + other.cpu_cores, self.memory_bytes + other.memory_bytes, self.gpus + other.gpus
        )

    def __sub__(self, other: "Resources") -> "Resources":
        """What is left; negative where more is taken than there is."""
        return Resources(
            self.cpu_cores - other.cpu_cores, self.memory_bytes - other.memory_bytes, self.gpus - other.gpus
        )

    def holds(self, wanted: "Resources") -> bool:
        """Whether `wanted` fits into this much."""
        # A tolerance, because a sum of decimal fractions of cores is off by a rounding error.
        return (
            wanted.gpus <= self.gpus
            and wanted.cpu_cores <= self.cpu_cores + CPU_CORES_TOLERANCE
            and wanted.memory_bytes <= self.memory_bytes
        )

    def capped(self, other: "Resources") -> "Resources":
        """Of each resource the smaller amount."""
        return Resources(
            min(self.cpu_cores, other.cpu_cores),
            min(self.memory_bytes, other.memory_bytes),
            min(self.gpus, other.gpus),
        )

    def shortages(self, wanted: "Resources") -> tuple[str, ...]:
        """Why `wanted` does not fit into this much, a sentence per resource; empty when it fits."""
        found: list[str] = []
        if wanted.cpu_cores > self.cpu_cores + CPU_CORES_TOLERANCE:
            found.append(f"needs {wanted.cpu_cores:g} CPU cores, {max(self.cpu_cores, 0):g} free")
        if wanted.memory_bytes > self.memory_bytes:
            found.append(
                f"needs {_gib(wanted.memory_bytes)} of memory, {_gib(max(self.memory_bytes, 0))} free"
            )
        if wanted.gpus > self.gpus:
            found.append(f"needs {wanted.gpus} GPUs, {max(self.gpus, 0)} free")
        return tuple(found)


def _gib(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB"


def requirement(profile: HardwareProfile, gpu_count: int) -> Resources:
    """What one replica on `profile` takes; amounts of a GPU profile are per GPU."""
    times = max(gpu_count, 1) if profile.gpu_model else 1
    return Resources(
        cpu_cores=profile.cpu_cores * times,
        memory_bytes=profile.memory_bytes * times,
        gpus=gpu_count if profile.gpu_model else 0,
    )


@dataclass(frozen=True, slots=True)
class Node:
    """A host that can take replicas, as its provisioner last reported it.

    Attributes:
        name: Unique in its cluster.
        cluster: The cluster whose provisioner starts replicas here.
        capacity: What it has for replicas.
        gpu_model: Model of its GPUs; None without any.
        runtimes: Kinds of inference server that can be started here.
        models: Hugging Face ids that can be served here; None means any that the runtime can fetch.
        models_by_runtime: The same for one runtime; where a runtime is not in it, `models` counts.
        reported_at: When the provisioner last said so.
        location: Site that it stands at, as its operator names it.
        device_name: What its cluster calls its GPUs when it hands them out; None where it does not say.
    """

    name: str
    cluster: str
    capacity: Resources
    gpu_model: str | None
    runtimes: tuple[str, ...]
    models: tuple[str, ...] | None
    reported_at: datetime
    location: str | None = None
    models_by_runtime: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    device_name: str | None = None

    def can_serve(self, model: str, runtime: str) -> bool:
        """Whether the weights of `model` can be had here for `runtime`."""
        models = self.models_by_runtime.get(runtime, self.models)
        return models is None or model in models

    @property
    def key(self) -> str:
        """Name across clusters."""
        return f"{self.cluster}/{self.name}"


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one replica holds on one node."""

    node_key: str
    taken: Resources


def free(node: Node, allocations: Iterable[Allocation]) -> Resources:
    """What `node` has left once `allocations` have taken theirs."""
    left = node.capacity
    for allocation in allocations:
        if allocation.node_key == node.key:
            left -= allocation.taken
    return left
