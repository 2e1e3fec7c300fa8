"""Processes that outlive whoever started them: spawned apart, found again by their marks, watched to their end.

asyncio's and subprocess's children die or complain when their parent lets go of them; these are meant to be let go of.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MARK_REPLICA = "HOSTLER_REPLICA_ID"
MARK_FOLDER = "HOSTLER_REPLICA_DIR"

_POLL_SECONDS = 0.02
_CLOCK_SLACK_SECONDS = 1.0


def spawn(argv: Sequence[str], env: Mapping[str, str], log_path: Path) -> int:
    """Start a process in a session of its own, with no input and its output appended to a file; give its pid."""
    return os.posix_spawn(
        argv[0],
        list(argv),
        dict(env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(log_path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGPIPE),
    )


def create_time(pid: int) -> float | None:
    """When a process was started; None when there is none of that pid."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def is_replica(pid: int, started: float | None, folder: Path) -> bool:
    """Whether `pid` is still the replica of `folder`.

    Its marks are the surest sign; where they can't be read, the time it was started must be the recorded one.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        try:
            return process.environ().get(MARK_FOLDER) == os.fspath(folder)
        except psutil.AccessDenied:
            return started is not None and abs(process.create_time() - started) < _CLOCK_SLACK_SECONDS
    except psutil.Error:
        return False


def find_marked(replicas_dir: Path) -> dict[str, list[int]]:
    """Every live process marked as a replica of a folder under `replicas_dir`: pids by replica id."""
    found: dict[str, list[int]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            marks = process.environ()
            replica_id = marks.get(MARK_REPLICA)
            if replica_id and marks.get(MARK_FOLDER) == os.fspath(replicas_dir / replica_id):
                found.setdefault(replica_id, []).append(process.pid)
    return found


class Process:
    """A process that is watched, whoever its parent is.

    Attributes:
        pid: Its number.
        ended: Set when it has ended.
        exit_code: Once it has ended and was our child; negative for a signal.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        self.exit_code: int | None = None
        self._fd: int | None = None
        self._loop = asyncio.get_running_loop()
        # Where the kernel offers it, the end is told at once and the pid can't pass to another process under our hands.
        if sys.platform == "linux":
            with suppress(OSError):
                self._fd = os.pidfd_open(pid)
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._settle)

    def is_alive(self) -> bool:
        """Whether it has not ended; notices an end that nobody told of."""
        if not self.ended.is_set() and self._fd is None:
            self._settle()
        return not self.ended.is_set()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if not self.is_alive():
            return
        with suppress(ProcessLookupError):
            if self._fd is not None and sys.platform == "linux":
                signal.pidfd_send_signal(self._fd, number)
            else:
                os.kill(self.pid, number)

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for its end; false when the time is over."""
        deadline = self._loop.time() + timeout_seconds
        while self.is_alive():
            left = deadline - self._loop.time()
            if left <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(left if self._fd is not None else min(left, _POLL_SECONDS)):
                    await self.ended.wait()
        return True

    def release(self) -> None:
        """Stop watching it."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _settle(self) -> None:
        """Take note of an end, and take its exit code when it was our child."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            if self._fd is None and create_time(self.pid) is not None and not _is_zombie(self.pid):
                return
        else:
            if pid == 0:
                return
            self.exit_code = os.waitstatus_to_exitcode(status)
        self.ended.set()
        self.release()


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
