"""Keeps one worker process running: starts it, hears what it says of itself, starts it again when it dies, ends it when told to.

`workers` makes one for each process. All changes of its state happen in the task that runs `run`.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from hostler_domain.errors import HostlerError
from hostler_kit.clock import Clock
from hostler_kit.logs import Logger
from hostler_router.worker_link import FD_VARIABLE, Report, read_report

_DELAY_FIRST_SECONDS: Final = 0.1
_DELAY_MAX_SECONDS: Final = 10.0
_LONG_SECONDS: Final = 30.0
"""A worker that has lived for so long has not failed in a row."""


class CannotStart(HostlerError):
    """A worker ended before any had served: the next would not fare better."""


def restart_delay_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return min(_DELAY_FIRST_SECONDS * 2.0 ** min(max(failures - 1, 0), 10), _DELAY_MAX_SECONDS)


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """How to start one.

    Attributes:
        name: Of its process.
        argv: The whole command.
        env: The whole environment but the number of its end of the connection.
        keep_fds: Descriptors that live as long as it does.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    keep_fds: tuple[int, ...] = ()


class Worker:
    """One worker.

    Attributes:
        name: Of its process.
        report: What it said last; None while it has said nothing.
        restarts: How often it was started again.
        served: It has served at least once.
        ends: How many processes of this name have ended.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        clock: Clock,
        logger: Logger,
        may_fail: Callable[[], bool],
        on_end: Callable[[str], None],
    ) -> None:
        """`may_fail` tells whether it is worth another try; `on_end` hears whenever a process of this name has ended."""
        self.name = spec.name
        self.report: Report | None = None
        self.restarts = 0
        self.served = False
        self.ends = 0
        self._spec = spec
        self._clock = clock
        self._logger = logger
        self._may_fail = may_fail
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Keep it running until `stop`.

        Raises:
            CannotStart: it ended, and trying again is not worth while.
        """
        failures = 0
        while not self._stopping.is_set():
            started = self._clock.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if not self._may_fail():
                raise CannotStart(f"{self.name} ended with {code} before any worker had served")
            lived = self._clock.monotonic() - started
            failures = 1 if lived > _LONG_SECONDS else failures + 1
            delay_seconds = restart_delay_seconds(failures)
            self._logger.warning("worker.ended", worker=self.name, code=code, again_in_seconds=delay_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_seconds):
                    await self._stopping.wait()
            self.restarts += 1

    async def stop(self, timeout_seconds: float) -> None:
        """End it in order, and by force when it takes too long."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        _send(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_seconds):
                await process.wait()
        except TimeoutError:
            self._logger.warning("worker.killed", worker=self.name)
            _send(process, signal.SIGKILL)
            await process.wait()

    async def _run_once(self) -> int:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._spec.argv,
                env={**self._spec.env, FD_VARIABLE: str(theirs.fileno())},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *self._spec.keep_fds),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._process = process
        if self._stopping.is_set():
            _send(process, signal.SIGTERM)
        self._logger.info("worker.started", worker=self.name, pid=process.pid)
        reader, writer = await asyncio.open_connection(sock=ours)
        listening = asyncio.create_task(self._listen(reader))
        try:
            return await process.wait()
        finally:
            self._process = None
            self.report = None
            listening.cancel()
            writer.close()
            self.ends += 1
            self._on_end(self.name)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self.report = read_report(line)
            self.served = self.served or self.report.serves


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
