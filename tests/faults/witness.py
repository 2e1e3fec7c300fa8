"""The witness: a process of its own that looks some twenty times a second which replicas' processes live.

`python -m tests.faults.witness DATA_DIR NOTEBOOK`; it ends when its input is closed. It asks the operating system alone: a process is a
replica's if its environment says so and names a folder below the stack's data folder. What a process does not tell of itself is
looked up in no file of Hostler's.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from tests.faults.facts import Notebook, Sample

_PERIOD_SECONDS = 0.05
_YOUNG_SECONDS = 3.0
"""A process of this age may have yet to become another program, with another environment."""
_ROOT = Path(__file__).resolve().parents[2]


class Census:
    """The living replicas of one data folder, counted again and again at little cost."""

    def __init__(self, data_dir: Path) -> None:
        self._folders = f"{data_dir.absolute()}/replicas/"
        self._replicas: dict[int, tuple[psutil.Process, str]] = {}
        self._others: set[int] = set()

    def living(self) -> dict[str, tuple[int, ...]]:
        """Pids by replica id, at this moment."""
        pids = set(psutil.pids())
        self._others &= pids
        for pid in pids - self._others - self._replicas.keys():
            self._classify(pid)
        found: dict[str, list[int]] = {}
        for pid, (process, replica_id) in list(self._replicas.items()):
            if not _lives(process):
                del self._replicas[pid]
                continue
            found.setdefault(replica_id, []).append(pid)
        for replica_id, twins in found.items():
            if len(twins) > 1:
                # One may have ended between the look at it and the look at the other; these two must live together.
                found[replica_id] = [pid for pid in twins if _lives(self._replicas[pid][0])]
        return {replica_id: tuple(sorted(pids)) for replica_id, pids in sorted(found.items()) if pids}

    def _classify(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            environ = process.environ()
            folder, replica_id = environ.get("HOSTLER_REPLICA_DIR", ""), environ.get("HOSTLER_REPLICA_ID", "")
            if replica_id and folder == self._folders + replica_id:
                self._replicas[pid] = (process, replica_id)
            elif time.time() - process.create_time() > _YOUNG_SECONDS:
                self._others.add(pid)
        except psutil.AccessDenied:
            self._others.add(pid)
        except psutil.Error:
            return


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def start_witness(data_dir: Path, notebook: Path) -> "subprocess.Popen[bytes]":
    """Start one; close its input to end it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.witness", str(data_dir), str(notebook)],
        stdin=subprocess.PIPE,
        cwd=_ROOT,
    )


def dismiss(witness: "subprocess.Popen[bytes]") -> None:
    """End a witness; it writes its last sample first."""
    assert witness.stdin is not None
    witness.stdin.close()
    assert witness.wait(timeout=30) == 0


def main() -> None:
    data_dir, path = Path(sys.argv[1]), Path(sys.argv[2])
    census, notebook = Census(data_dir), Notebook(path)
    dismissed = threading.Event()

    def await_dismissal() -> None:
        while os.read(0, 1):
            pass
        dismissed.set()

    threading.Thread(target=await_dismissal, daemon=True).start()
    before: dict[str, tuple[int, ...]] | None = None
    count, gap_seconds, last = 0, 0.0, time.monotonic()
    while not dismissed.wait(_PERIOD_SECONDS):
        living, now = census.living(), time.monotonic()
        count, gap_seconds, last = count + 1, max(gap_seconds, now - last), now
        if living != before:
            notebook.add(Sample(now, living, count, gap_seconds))
            before = living
    notebook.add(Sample(time.monotonic(), census.living(), count + 1, gap_seconds))
    notebook.close()


if __name__ == "__main__":
    main()
