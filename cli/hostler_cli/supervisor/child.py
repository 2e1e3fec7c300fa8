"""Keeps one process of the table running: spawn it, probe it, start it again when it ends, end it when told to.

`stack` makes one `Child` per `ProcessSpec` and runs each in a task. All changes of a child's state happen in that task.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from hostler_cli.supervisor import backoff
from hostler_cli.supervisor.probes import all_pass
from hostler_cli.supervisor.specs import ProcessSpec
from hostler_cli.supervisor.state_file import ProcessRecord, ProcessState, create_time_of, transition

_PROBE_EAGER_SECONDS: Final = 0.03
_PROBE_LAZY_SECONDS: Final = 0.25
_EAGER_FOR_SECONDS: Final = 10.0
"""Most processes are ready within this time, and people wait for them; asking costs next to nothing."""


class StartFailed(Exception):
    """A process ended again and again before it was ever ready."""

    def __init__(self, name: str, what: str, log_file: Path) -> None:
        super().__init__(f"{name} {what} before it was ready")
        self.name = name
        self.log_file = log_file


class Child:
    """One supervised process."""

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        log_file: Path,
        at_once: asyncio.Event,
        on_change: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self.log_file = log_file
        self.first_ready = asyncio.Event()
        self._at_once = at_once
        self._on_change = on_change
        self._say = say
        self._stop = asyncio.Event()
        self._state = ProcessState.STARTING
        self._pid: int | None = None
        self._create_time: float | None = None
        self._restarts = 0
        self._failures = 0
        self._ready_since: float | None = None

    def record(self) -> ProcessRecord:
        """Give what the world is told about this process."""
        return ProcessRecord(
            name=self.spec.name,
            pid=self._pid,
            create_time=self._create_time,
            state=self._state,
            restarts=self._restarts,
            ops_url=self.spec.ops_url,
            log=str(self.log_file),
        )

    def stop(self) -> None:
        """Ask the task in `run` to end the process and itself: by SIGTERM, after the grace by SIGKILL."""
        self._stop.set()

    async def run(self, dependencies: tuple[asyncio.Event, ...]) -> None:
        """Keep the process running until `stop`; raises `StartFailed` when it never gets ready."""
        for dependency in dependencies:
            await self._unless_stopped(dependency.wait())
        while not self._stop.is_set():
            await self._run_once()
        self._enter(ProcessState.EXITED)

    async def _run_once(self) -> None:
        started = time.monotonic()
        what = await self._spawn_and_watch()
        if self._stop.is_set():
            return
        ended = time.monotonic()
        self._failures = backoff.next_failures(
            self._failures,
            uptime_seconds=ended - started,
            served_seconds=0.0 if self._ready_since is None else ended - self._ready_since,
        )
        if not self.first_ready.is_set() and self._failures >= backoff.FIRST_START_ATTEMPTS:
            self._enter(ProcessState.EXITED)
            raise StartFailed(self.spec.name, what, self.log_file)
        delay_seconds = backoff.restart_delay_seconds(self._failures)
        self._say(f"{self.spec.name} {what}; starting it again in {delay_seconds:g} s")
        self._enter(ProcessState.BACKOFF)
        await self._unless_stopped(asyncio.sleep(delay_seconds))
        if not self._stop.is_set():
            self._restarts += 1
            self._enter(ProcessState.STARTING)

    async def _spawn_and_watch(self) -> str:
        """Run the process to its end; tell in words how it ended."""
        self._ready_since = None
        try:
            process = await self._spawn()
        except OSError as error:
            return f"could not be started ({error})"
        self._pid, self._create_time = process.pid, create_time_of(process.pid)
        self._on_change()
        probing = asyncio.create_task(self._probe())
        try:
            await self._unless_stopped(process.wait())
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing
        if process.returncode is None:
            await self._terminate(process)
        self._pid = self._create_time = None
        return _ending(process.returncode or 0)

    async def _spawn(self) -> asyncio.subprocess.Process:
        log = os.open(self.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *self.spec.argv,
                env=self.spec.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal concerns the supervisor alone, which then ends its children in order.
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _probe(self) -> None:
        started = time.monotonic()
        while not await all_pass(self.spec.probes):
            eager = time.monotonic() - started < _EAGER_FOR_SECONDS
            await asyncio.sleep(_PROBE_EAGER_SECONDS if eager else _PROBE_LAZY_SECONDS)
        self._ready_since = time.monotonic()
        self._enter(ProcessState.READY)
        self.first_ready.set()

    async def _terminate(self, process: asyncio.subprocess.Process) -> None:
        self._enter(ProcessState.STOPPING)
        ended = asyncio.create_task(process.wait())
        now = asyncio.create_task(self._at_once.wait())
        _send(process.pid, signal.SIGTERM)
        await asyncio.wait(
            {ended, now}, timeout=self.spec.stop_grace_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if not ended.done():
            self._say(f"{self.spec.name} is still there; ending it by force")
            # The whole group: what the process started without a session of its own goes with it.
            _send(-process.pid, signal.SIGKILL)
        now.cancel()
        await ended

    async def _unless_stopped(self, awaitable: Coroutine[object, object, object]) -> None:
        """Await something, but no longer than until `stop`."""
        waits = {asyncio.create_task(awaitable), asyncio.create_task(self._stop.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    def _enter(self, state: ProcessState) -> None:
        self._state = transition(self._state, state)
        self._on_change()


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
