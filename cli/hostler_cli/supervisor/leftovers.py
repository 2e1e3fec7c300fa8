"""Ending the processes that a supervisor left behind, found by the instance id in their environment.

Three callers: the supervisor itself as the last act of a stop, the next `hostler up` or `down` on the data folder, and
the guard of a supervisor that was killed (`python -m hostler_cli.supervisor.leftovers INSTANCE`). Ending goes in the same
turns as an orderly stop; within a turn a parent goes before its children, so that a provisioner can end its model
servers properly.
"""

import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import psutil

from hostler_cli.supervisor.layout import INSTANCE_VARIABLE, STAGE_VARIABLE

GRACE_SECONDS: Final = 8.0
"""For each turn; the users of these processes are gone already."""
_KILL_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.02
_LAST_STAGE: Final = 99


@dataclass(frozen=True, slots=True)
class Stray:
    """What decides when a left-over process is ended."""

    pid: int
    parent_pid: int
    stage: int


def next_to_end(strays: Iterable[Stray]) -> tuple[int, ...]:
    """Pick the pids of the lowest stage that have no parent in that stage."""
    listed = tuple(strays)
    stage = min((stray.stage for stray in listed), default=0)
    candidates = {stray.pid: stray for stray in listed if stray.stage == stage}
    return tuple(sorted(pid for pid, stray in candidates.items() if stray.parent_pid not in candidates))


def end_leftovers(instance_prefix: str, *, grace_seconds: float = GRACE_SECONDS) -> tuple[int, ...]:
    """End every process of these instances, SIGTERM first; give the pids. Blocks until they are gone."""
    ended: list[int] = []
    # Looks again after each turn, since a parent may have started a child meanwhile. What even SIGKILL did not end is
    # not tried twice.
    while processes := _find(instance_prefix, ignore=(os.getpid(), *ended)):
        turn = [processes[pid][0] for pid in next_to_end(stray for _, stray in processes.values())]
        _end(turn, grace_seconds)
        ended.extend(process.pid for process in turn)
    return tuple(ended)


def _find(instance_prefix: str, *, ignore: Collection[int]) -> dict[int, tuple[psutil.Process, Stray]]:
    found = {}
    for process in psutil.process_iter():
        if process.pid in ignore:
            continue
        try:
            environ = process.environ()
            if not environ.get(INSTANCE_VARIABLE, "").startswith(instance_prefix):
                continue
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            stray = Stray(process.pid, process.ppid(), _stage_of(environ))
        except (psutil.Error, OSError):
            continue
        found[process.pid] = (process, stray)
    return found


def _stage_of(environ: Mapping[str, str]) -> int:
    stage = environ.get(STAGE_VARIABLE, "")
    return int(stage) if stage.isdecimal() else _LAST_STAGE


def _end(processes: list[psutil.Process], grace_seconds: float) -> None:
    # psutil checks the start time before it sends a signal, so a pid that came round again is safe.
    for process in processes:
        _signal(process.terminate)
    for process in _wait(processes, grace_seconds):
        _signal(process.kill)
    _wait(processes, _KILL_SECONDS)


def _wait(processes: list[psutil.Process], timeout_seconds: float) -> list[psutil.Process]:
    """Wait until the processes have ended; give those that have not.

    A zombie has ended. psutil's own wait would go on until somebody reaps it, and these are other people's children.
    """
    deadline = time.monotonic() + timeout_seconds
    while alive := [process for process in processes if _runs(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.Error:
        return


def main() -> None:
    """End one instance, as the guard of its supervisor."""
    started = time.monotonic()
    ended = end_leftovers(sys.argv[1])
    print(
        f"the supervisor of {sys.argv[1]} is gone; ended {len(ended)} processes "
        f"in {time.monotonic() - started:.1f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
