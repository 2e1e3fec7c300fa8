"""What this machine has for replicas: its own cores and memory, less what a container may not use."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

from hostler_provisioner.backend import NodeFacts
from hostler_provisioner.local.models import available
from hostler_provisioner.local.runtimes import RUNTIMES

_CGROUP = Path("/sys/fs/cgroup")


def node_facts(model_paths: Mapping[str, Path]) -> NodeFacts:
    """Look at the machine; reads a few small files."""
    runtimes = tuple(each for each in RUNTIMES.values() if each.installed)
    return NodeFacts(
        hostname=socket.gethostname(),
        cpu_cores=usable_cores(),
        memory_bytes=_usable_memory_bytes(),
        models_by_runtime={
            each.name: None if each.weights is None else available(model_paths, each.weights)
            for each in runtimes
        },
    )


def usable_cores() -> float:
    """Cores that this process may use."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = _cgroup_words("cpu.max")
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def physical_cores() -> int:
    """Cores that are not the second thread of another."""
    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def _usable_memory_bytes() -> int:
    total: int = psutil.virtual_memory().total
    limit = _cgroup_words("memory.max")
    return min(total, int(limit[0])) if limit and limit[0].isdigit() else total


def _cgroup_words(name: str) -> list[str]:
    """A limit of this process's control group, where there is one (version 2)."""
    try:
        return (_CGROUP / name).read_text(encoding="ascii").split()
    except OSError:
        return []
