"""What replicas wrote: reading parts of it, bounding it while they live, keeping it for a while when they have ended.

A log that outgrows its bound is emptied, its last megabyte set aside beside it. One whose replica is forgotten goes to a folder
of its own, where it stays for a day unless younger ones need the room; what is too old goes when the next one comes or a provisioner
starts. Blocking calls; the backend makes them in threads.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from hostler_provisioner.backend import LogPart
from hostler_provisioner.local.steps import readable_lines

KEPT_LOGS = "replica-logs"
"""Name of the folder with the logs of replicas that are forgotten."""
PART_BYTES_MAX = 128 * 1024
KEPT_SECONDS = 24 * 3600
KEPT_BYTES_MAX = 256 * 2**20
_SET_ASIDE_BYTES = 2**20


def read_part(log: Path, *, tail_lines: int, after: int | None, ended: bool) -> LogPart | None:
    """The last lines of a log, or what follows a place in it; None where there is no log.

    A line that is not complete is left for the next time, unless its writer has ended. A place beyond the end means that the log was
    emptied since: then it is read from its beginning.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(0, size - PART_BYTES_MAX) if after is None else (after if after <= size else 0)
            file.seek(begin)
            data = file.read(PART_BYTES_MAX)
    except FileNotFoundError:
        return None
    at_end = begin + len(data) >= size
    if not (ended and at_end):
        whole = data.rfind(b"\n") + 1
        # A line longer than a part is passed on in pieces.
        data = data[: whole or (0 if at_end else len(data))]
    lines = readable_lines(data.decode(errors="replace"))
    if after is None:
        earlier = _set_aside(log)
        if len(lines) < tail_lines and begin == 0 and earlier.exists():
            lines = [
                *readable_lines(earlier.read_bytes()[-PART_BYTES_MAX // 2 :].decode(errors="replace")),
                *lines,
            ]
        lines = lines[-tail_lines:] if tail_lines else []
    text = "".join(f"{line}\n" for line in lines)
    return LogPart(text, begin + len(data), ended and at_end)


def shorten(log: Path, bytes_max: int) -> None:
    """Empty a log that has outgrown `bytes_max`; its writer appends, so it goes on at the beginning."""
    if not log.exists() or log.stat().st_size <= bytes_max:
        return
    with log.open("rb") as file:
        file.seek(-min(_SET_ASIDE_BYTES, bytes_max), os.SEEK_END)
        _write_private(_set_aside(log), file.read())
    os.truncate(log, 0)


def kept_log(kept_dir: Path, replica_id: str) -> Path:
    """Where the log of a replica lies that is forgotten."""
    return kept_dir / f"{replica_id}.txt"


def keep(log: Path, kept_dir: Path, replica_id: str) -> None:
    """Put the log of a replica that is to be forgotten aside, and take away what has been there for too long."""
    if log.exists():
        kept_dir.mkdir(mode=0o700, exist_ok=True)
        kept = log.replace(kept_log(kept_dir, replica_id))
        os.utime(kept)
    prune(kept_dir, now=time.time())


def prune(kept_dir: Path, *, now: float) -> None:
    """Take away what is too old, and the oldest of what is too much."""
    if not kept_dir.exists():
        return
    room = KEPT_BYTES_MAX
    stats = [(path, path.stat()) for path in kept_dir.iterdir()]
    for path, stat in sorted(stats, key=lambda each: each[1].st_mtime, reverse=True):
        room -= stat.st_size
        if room < 0 or now - stat.st_mtime > KEPT_SECONDS:
            with suppress(FileNotFoundError):
                path.unlink()


def _set_aside(log: Path) -> Path:
    return log.with_name("log.1.txt")


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
