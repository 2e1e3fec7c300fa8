"""The run of a service from its first line to its last.

`run_service` sets up logs, the ops port and signals, then lets the service start what it needs through its `Chassis`. A task
that dies ends the process with status 1, so that whoever supervises it starts it afresh; SIGTERM and SIGINT stop it in order:
not ready any more, then what was registered with `on_stop` last first, then the tasks, then the ops port.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import TypeVar

import uvloop
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from starlette.types import ASGIApp

from hostler_domain.errors import HostlerError
from hostler_kit.clock import Clock, SystemClock
from hostler_kit.http import HttpServer
from hostler_kit.logs import Logger, configure_logs
from hostler_kit.ops import Check, Readiness, ops_app
from hostler_kit.settings import OpsSettings, PlatformSettings

T = TypeVar("T")


class Chassis:
    """What a running service holds on to.

    Attributes:
        name: Of this process, such as `router-2`.
        logger: Bound to the service's name.
        registry: Its metrics.
        readiness: Its checks.
        clock: The time.
        stopping: Set when it was told to stop.
        ops_port: Where it serves operations; 0 before it does.
    """

    def __init__(self, kind: str, name: str, logger: Logger, clock: Clock) -> None:
        self.kind = kind
        self.name = name
        self.logger = logger
        self.clock = clock
        self.registry = CollectorRegistry()
        self.readiness = Readiness()
        self.stopping = asyncio.Event()
        self.ops_port = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stops: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._failed = asyncio.Event()
        ProcessCollector(registry=self.registry)
        info = Gauge(
            "hostler_service_info", "Which process this is.", ("service", "name"), registry=self.registry
        )
        info.labels(kind, name).set(1)
        self.readiness.add(
            "running", lambda: Check(not self.stopping.is_set(), "stopping" if self.stopping.is_set() else "")
        )

    def spawn(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Run `work` beside the rest until the service stops; its failure is the service's failure."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def on_stop(self, name: str, stop: Callable[[], Awaitable[None]]) -> None:
        """Call `stop` when the service stops; what was registered last is called first."""
        self._stops.append((name, stop))

    async def enter(self, name: str, context: AbstractAsyncContextManager[T]) -> T:
        """Enter `context` now and leave it when the service stops."""
        stack = AsyncExitStack()
        entered = await stack.enter_async_context(context)
        self.on_stop(name, stack.aclose)
        return entered

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.stopping.is_set():
            return
        error = task.exception()
        self.logger.error("task.died", task=task.get_name(), reason=repr(error), exc_info=error)
        self._failed.set()

    async def _wait(self) -> int:
        waits = [asyncio.create_task(event.wait()) for event in (self.stopping, self._failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return 1 if self._failed.is_set() else 0

    async def _stop(self) -> None:
        self.stopping.set()
        for name, stop in reversed(self._stops):
            try:
                await stop()
            except Exception:  # one part that can't stop must not keep the others from stopping
                self.logger.exception("stop.failed", part=name)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


Start = Callable[[Chassis], Awaitable[None]]
MakeOps = Callable[[Readiness, CollectorRegistry], ASGIApp]


def run_service(
    kind: str, platform: PlatformSettings, ops: OpsSettings, start: Start, make_ops: MakeOps = ops_app
) -> None:
    """Run the service until it is told to stop or fails; ends the process with 0 or 1.

    `make_ops` is for a service that answers operators for other processes as well.
    """
    sys.exit(uvloop.run(_run(kind, platform, ops, start, make_ops)))


async def _run(
    kind: str, platform: PlatformSettings, ops: OpsSettings, start: Start, make_ops: MakeOps
) -> int:
    name = ops.name or _unnamed(kind)
    logger = configure_logs(service=name, level=platform.log_level, form=platform.log_format)
    chassis = Chassis(kind, name, logger, SystemClock())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, chassis.stopping.set)
    started = False
    chassis.readiness.add("started", lambda: Check(started, "" if started else "starting"))
    server = HttpServer(
        make_ops(chassis.readiness, chassis.registry),
        host=ops.ops_host,
        port=ops.ops_port,
        drain_timeout_seconds=1,
    )
    await server.start()
    chassis.ops_port = server.port
    code = 1
    try:
        await start(chassis)
        started = True
        logger.info("service.started", ops_port=server.port)
        code = await chassis._wait()  # noqa: SLF001  # the chassis and its run are one thing in two pieces
    except HostlerError as error:
        logger.error("service.cannot_start", reason=str(error))  # noqa: TRY400  # the message says it all
    finally:
        await chassis._stop()  # noqa: SLF001  # as above
        await server.stop()
        logger.info("service.stopped", code=code)
    return code


def _unnamed(kind: str) -> str:
    """A name that no other process of the installation has: in containers, process ids are all the same."""
    return f"{kind}-{socket.gethostname().partition('.')[0]}-{os.getpid()}"
