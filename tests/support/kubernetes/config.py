"""What a fake cluster is like: its nodes, how long things take in it, how much it remembers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

GPU, PRODUCT = "nvidia.com/GA100_A100_SXM4_80GB", "A100-SXM4-80GB"
"""Of the hardware profile `gpu.a100` that Hostler ships."""


@dataclass(frozen=True, slots=True)
class NodeShape:
    """A node as it is there from the beginning."""

    name: str
    devices: Mapping[str, int] = field(default_factory=lambda: {GPU: 8})
    """GPUs by resource name, all allocatable."""
    product: str = PRODUCT
    """Their name, as GPU feature discovery labels the node; none where it is empty."""
    cpu: int = 128
    memory: str = "1200Gi"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each step takes, in real seconds."""

    pending_seconds: float = 0.02
    scheduling_seconds: float = 0.02
    scheduled_seconds: float = 0.02
    agent_seconds: float = 0.02
    """From Running until the guest agent answers."""
    shutdown_seconds: float = 0.05
    """From the wish to delete until the guest is down; its grace period is the upper bound."""
    finalize_seconds: float = 0.02
    import_seconds: float = 0.05
    """A whole import of a DataVolume, in eight steps."""
    bind_seconds: float = 0.01
    collect_seconds: float = 0.01
    """Until the garbage collector looks at a change."""
    lost_seconds: float = 0.05
    """From the loss of a node until its VMIs are Unknown."""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    nodes: tuple[NodeShape, ...] = (NodeShape("node-0"), NodeShape("node-1"))
    timings: Timings = field(default_factory=Timings)
    history_max: int = 20_000
    bookmark_seconds: float = 5.0
    seed: int = 1
    port: int = 0
    virt_controller: bool = True
    """Whether VMIs and DataVolumes come to life; without, they stay as they were written."""
    guests: bool = False
    """Whether a Running VMI has a process that serves (see `guests`)."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def config_from(fields: Mapping[str, Any]) -> ClusterConfig:
    """A configuration as a file has it; what is left out is as ever."""
    known = dict(fields)
    nodes = known.pop("nodes", None)
    timings = known.pop("timings", None)
    if nodes is not None:
        known["nodes"] = tuple(NodeShape(**each) for each in nodes)
    if timings is not None:
        known["timings"] = Timings(**timings)
    return ClusterConfig(**known)
