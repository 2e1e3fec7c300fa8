"""Starting and stopping a supervisor in the background, seen from the command that asks for it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hostler_cli.exit_codes import ExitCode
from hostler_cli.supervisor import lock
from hostler_cli.supervisor.layout import INSTANCE_VARIABLE, DataLayout
from hostler_cli.supervisor.leftovers import end_leftovers
from hostler_cli.supervisor.log_files import tail
from hostler_cli.supervisor.options import UpOptions
from hostler_cli.supervisor.secret_files import make_folders
from hostler_cli.supervisor.state_file import StackState, is_alive, read_state, verified, write_state

_POLL_SECONDS: Final = 0.03
_STOP_MARGIN_SECONDS: Final = 90.0
"""The supervisor bounds the start by itself and then stops what it started; only then is it given up as stuck."""
_TOLD_LINES_MAX: Final = 200


def start(
    options: UpOptions, environ: Mapping[str, str], *, say: Callable[[str], None]
) -> StackState | ExitCode:
    """Start a supervisor that outlives this process; give its state once all is ready, else the code to exit with."""
    layout = DataLayout(options.data_dir)
    make_folders(layout)
    if pid := lock.holder_pid(layout.lock_file):
        say(f"error: {lock.AlreadyRunning(layout.data_dir, pid)}")
        return ExitCode.CONFLICT
    log_file = layout.log_file("supervisor")
    said_before = log_file.stat().st_size if log_file.exists() else 0
    supervisor = _spawn(options, environ, log_file)
    try:
        state = _wait_until_ready(supervisor, layout, options.start_timeout_seconds + _STOP_MARGIN_SECONDS)
    except KeyboardInterrupt:
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait()
        return ExitCode.INTERRUPTED
    if state is not None:
        return state
    for line in tail(log_file, _TOLD_LINES_MAX, since=said_before):
        say(line)
    if supervisor.poll() is None:
        say(f"error: the supervisor (pid {supervisor.pid}) does not answer; see {log_file}")
        return ExitCode.TIMEOUT
    try:
        return ExitCode(supervisor.returncode or ExitCode.FAILURE)
    except ValueError:
        return ExitCode.FAILURE


def _spawn(options: UpOptions, environ: Mapping[str, str], log_file: Path) -> "subprocess.Popen[bytes]":
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - a list of our own making, no shell
            [sys.executable, "-P", "-m", "hostler_cli.supervisor", options.to_json()],
            env={name: value for name, value in environ.items() if name != INSTANCE_VARIABLE},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _wait_until_ready(
    supervisor: "subprocess.Popen[bytes]", layout: DataLayout, timeout_seconds: float
) -> StackState | None:
    deadline = time.monotonic() + timeout_seconds
    while supervisor.poll() is None and time.monotonic() < deadline:
        state = read_state(layout.state_file)
        if state is not None and state.ready and _is_of(supervisor, state):
            return state
        time.sleep(_POLL_SECONDS)
    return None


def _is_of(supervisor: "subprocess.Popen[bytes]", state: StackState) -> bool:
    # The start time tells the last word of an earlier run whose supervisor had the same pid.
    return state.supervisor_pid == supervisor.pid and is_alive(supervisor.pid, state.supervisor_create_time)


def stop(layout: DataLayout, *, timeout_seconds: float, say: Callable[[str], None]) -> ExitCode:
    """End the stack of a data folder and wait until nothing of it is left; fine when nothing runs there."""
    if not layout.data_dir.is_dir():
        say(f"nothing runs on {layout.data_dir}")
        return ExitCode.OK
    pid = lock.holder_pid(layout.lock_file)
    if pid is not None:
        say(f"stopping the stack on {layout.data_dir} (supervisor pid {pid})")
        if not _stop_supervisor(layout, pid, timeout_seconds):
            say(f"error: still stopping after {timeout_seconds:g} s; see {layout.log_file('supervisor')}")
            return ExitCode.TIMEOUT
    try:
        with lock.hold(layout.lock_file):
            strays = end_leftovers(layout.instance_prefix)
            _tell_all_exited(layout)
    except lock.AlreadyRunning as error:
        say(f"error: it was started again meanwhile: {error}")
        return ExitCode.CONFLICT
    if strays:
        say(f"ended {len(strays)} processes that an earlier run had left behind")
    if pid is not None:
        say("stopped")
    elif not strays:
        say(f"nothing runs on {layout.data_dir}")
    return ExitCode.OK


def _stop_supervisor(layout: DataLayout, pid: int, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    while lock.holder_pid(layout.lock_file) == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    # The lock is let go a moment before the process ends.
    while is_alive(pid, None) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return True


def _tell_all_exited(layout: DataLayout) -> None:
    state = read_state(layout.state_file)
    if state is not None:
        write_state(layout.state_file, verified(state, supervisor_lives=False))


def look(layout: DataLayout) -> tuple[StackState | None, bool]:
    """Give the state of a data folder as it really is, and whether a supervisor runs there."""
    state = read_state(layout.state_file)
    pid = lock.holder_pid(layout.lock_file)
    if state is None:
        return None, pid is not None
    lives = pid is not None and pid == state.supervisor_pid
    return verified(state, supervisor_lives=lives), lives
