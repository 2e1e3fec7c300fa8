"""What the supervisor tells the world about a stack, as values and as the JSON of DIR/supervisor.json.

The supervisor alone writes the file; `up --detach`, `down`, `status` and `doctor` read it and check it against the
processes that really live, since a killed supervisor leaves its last word standing.
"""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil

from hostler_cli.supervisor.secret_files import write_private

_CREATE_TIME_TOLERANCE_SECONDS: Final = 2.0
"""Start times are derived from the boot time, which jitters by up to a second when the clock is set."""


class ProcessState(StrEnum):
    """Where a supervised process is."""

    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    EXITED = "exited"


TRANSITIONS: Final[dict[ProcessState, frozenset[ProcessState]]] = {
    ProcessState.STARTING: frozenset(
        {ProcessState.READY, ProcessState.BACKOFF, ProcessState.STOPPING, ProcessState.EXITED}
    ),
    ProcessState.READY: frozenset({ProcessState.BACKOFF, ProcessState.STOPPING, ProcessState.EXITED}),
    ProcessState.BACKOFF: frozenset({ProcessState.STARTING, ProcessState.EXITED}),
    ProcessState.STOPPING: frozenset({ProcessState.EXITED}),
    ProcessState.EXITED: frozenset(),
}


def transition(before: ProcessState, after: ProcessState) -> ProcessState:
    """Give the new state; a step that the table lacks is a bug of the supervisor."""
    if after not in TRANSITIONS[before]:
        raise ValueError(f"no way from {before} to {after}")
    return after


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process, as told to the world."""

    name: str
    pid: int | None
    create_time: float | None
    """With the pid it names one process for ever: pids come round again."""
    state: ProcessState
    restarts: int
    ops_url: str | None
    log: str


@dataclass(frozen=True, slots=True)
class StackState:
    """One run of one data folder."""

    supervisor_pid: int
    supervisor_create_time: float
    instance: str
    data_dir: str
    api_url: str
    router_url: str
    nats_url: str
    valkey_url: str
    admin_key_file: str
    ready: bool
    processes: tuple[ProcessRecord, ...]


def read_state(path: Path) -> StackState | None:
    """Read the supervisor's last word; None when there is none that this version understands."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        processes = tuple(
            ProcessRecord(**{**record, "state": ProcessState(record["state"])})
            for record in fields["processes"]
        )
        return StackState(**{**fields, "processes": processes})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_state(path: Path, state: StackState) -> None:
    """Replace the file whole."""
    write_private(path, json.dumps(asdict(state), indent=2) + "\n")


def verified(state: StackState, *, supervisor_lives: bool) -> StackState:
    """Correct the supervisor's last word by the processes that live now."""
    processes = tuple(
        record
        if supervisor_lives and (record.pid is None or is_alive(record.pid, record.create_time))
        else replace(record, state=ProcessState.EXITED, pid=None, create_time=None)
        for record in state.processes
    )
    ready = supervisor_lives and all(record.state is ProcessState.READY for record in processes)
    return replace(state, processes=processes, ready=ready)


def create_time_of(pid: int) -> float | None:
    """Tell when a process started; None when it is gone already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def is_alive(pid: int, create_time: float | None) -> bool:
    """Tell whether this very process lives, not a later one of the same pid."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        started = process.create_time()
    except psutil.Error:
        return False
    return create_time is None or abs(started - create_time) <= _CREATE_TIME_TOLERANCE_SECONDS
