"""The machine under the bench: which core runs what, and what a tree of processes has taken of it.

With two cores or more, what is measured has the first to itself, and everything else (load, upstreams, nats-server) shares the others; with one they share it.
"""

import os
import platform
import resource
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

_CORES = sorted(os.sched_getaffinity(0))
TARGET_CORES = _CORES[:1]
LOAD_CORES = _CORES[1:] or _CORES
_FILES_WANTED = 100_000
_TICKS = os.sysconf("SC_CLK_TCK")


def pinned(cores: Sequence[int], command: Sequence[str]) -> list[str]:
    """The command, held to these cores."""
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and kernel time of a process and all below it, from /proc/PID/stat."""
    total = 0
    for each in family(pid):
        with suppress(FileNotFoundError):
            fields = Path(f"/proc/{each.pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def resident_mib(pid: int) -> float:
    """Memory of the same."""
    return sum(each.memory_info().rss for each in family(pid)) / 2**20


def allow_many_files() -> int:
    """As many open files as the system lets us have; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES_WANTED, max(hard, _FILES_WANTED)))
        return _FILES_WANTED
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _form() -> str:
    spec = find_spec("hostler_router.direct")
    return "compiled" if spec is not None and str(spec.origin).endswith(".so") else "interpreted"


def description() -> str:
    """One line for the head of a report."""
    load = os.getloadavg()[0]
    return (
        f"{platform.machine()}, {len(_CORES)} cores, Python {platform.python_version()}, the router {_form()}, load {load:.1f} at the start; the target on core "
        f"{TARGET_CORES}, load and upstreams on {LOAD_CORES}"
    )
