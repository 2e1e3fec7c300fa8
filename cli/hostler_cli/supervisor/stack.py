"""Runs a whole table of processes: starts it in order of need, keeps the state file true, and stops it in turns.

`launch` gives it the table and the values that the state file tells; signals reach it through `request_stop`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hostler_cli.exit_codes import ExitCode
from hostler_cli.supervisor.child import Child, StartFailed
from hostler_cli.supervisor.guard import Guard
from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.leftovers import end_leftovers
from hostler_cli.supervisor.log_files import tail
from hostler_cli.supervisor.specs import ProcessSpec
from hostler_cli.supervisor.state_file import ProcessState, StackState, write_state

_TAIL_LINES = 30


@dataclass(frozen=True, slots=True)
class StackHooks:
    """What the outside does at certain moments."""

    on_ready: Callable[[StackState], None]
    """Called once, when every process is ready for the first time."""
    say: Callable[[str], None]
    """Tells people a sentence."""


class Stack:
    """One run of one table."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        layout: DataLayout,
        state: StackState,
        guard: Guard,
        hooks: StackHooks,
    ) -> None:
        self._layout = layout
        self._guard = guard
        self._hooks = hooks
        self._template = state
        self._stop_requested = asyncio.Event()
        self._at_once = asyncio.Event()
        self._children = {
            spec.name: Child(
                spec,
                log_file=layout.log_file(spec.name),
                at_once=self._at_once,
                on_change=self._write_state,
                say=hooks.say,
            )
            for spec in specs
        }

    def request_stop(self) -> None:
        """End in order; when asked a second time, at once."""
        if self._stop_requested.is_set():
            self._at_once.set()
        self._stop_requested.set()

    async def run(self, *, start_timeout_seconds: float) -> ExitCode:
        """Start everything, keep it running until `request_stop`, end everything."""
        dismissed = asyncio.Event()
        guarding = asyncio.create_task(self._guard.run(dismissed))
        self._write_state()
        tasks = {
            name: asyncio.create_task(
                child.run(tuple(self._children[need].first_ready for need in child.spec.depends_on))
            )
            for name, child in self._children.items()
        }
        try:
            return await self._watch(list(tasks.values()), start_timeout_seconds)
        finally:
            await self._stop_in_turns(tasks)
            await asyncio.to_thread(end_leftovers, self._template.instance)
            dismissed.set()
            await guarding

    def state(self) -> StackState:
        """Give what the world is told now."""
        records = tuple(child.record() for child in self._children.values())
        ready = all(record.state is ProcessState.READY for record in records)
        return replace(self._template, processes=records, ready=ready)

    async def _watch(self, tasks: list[asyncio.Task[None]], start_timeout_seconds: float) -> ExitCode:
        stop = asyncio.create_task(self._stop_requested.wait())
        all_ready = asyncio.create_task(self._all_ready())
        try:
            await asyncio.wait(
                {stop, all_ready, *tasks}, timeout=start_timeout_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if failed := _first_failure(tasks):
                self._tell_failure(failed)
                return ExitCode.FAILURE
            if stop.done():
                return ExitCode.OK
            if not all_ready.done():
                self._tell_timeout(start_timeout_seconds)
                return ExitCode.TIMEOUT
            self._hooks.on_ready(self.state())
            await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if failed := _first_failure(tasks):
                self._tell_failure(failed)
                return ExitCode.FAILURE
            return ExitCode.OK
        finally:
            stop.cancel()
            all_ready.cancel()

    async def _all_ready(self) -> None:
        for child in self._children.values():
            await child.first_ready.wait()

    async def _stop_in_turns(self, tasks: dict[str, asyncio.Task[None]]) -> None:
        stages = sorted({child.spec.stop_stage for child in self._children.values()})
        for stage in stages:
            turn = [child for child in self._children.values() if child.spec.stop_stage == stage]
            for child in turn:
                child.stop()
            await asyncio.gather(*(tasks[child.spec.name] for child in turn), return_exceptions=True)

    def _tell_failure(self, failed: BaseException) -> None:
        self._hooks.say(f"error: {failed}")
        if isinstance(failed, StartFailed):
            self._tell_tail(failed.name)

    def _tell_timeout(self, start_timeout_seconds: float) -> None:
        waiting = [name for name, child in self._children.items() if not child.first_ready.is_set()]
        self._hooks.say(f"error: not ready after {start_timeout_seconds:g} s: {', '.join(waiting)}")
        for name in waiting:
            self._tell_tail(name)

    def _tell_tail(self, name: str) -> None:
        log_file = self._layout.log_file(name)
        self._hooks.say(f"the end of {log_file}:")
        for line in tail(log_file, _TAIL_LINES):
            self._hooks.say(f"    {line}")

    def _write_state(self) -> None:
        write_state(self._layout.state_file, self.state())


def _first_failure(tasks: list[asyncio.Task[None]]) -> BaseException | None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            return error
    return None
