"""How one process is ended: asked first, then by force; and what holds a start back."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hostler_cli.supervisor.child import Child, StartFailed
from hostler_cli.supervisor.probes import TcpProbe
from hostler_cli.supervisor.specs import ProcessSpec
from hostler_cli.supervisor.state_file import ProcessState

pytestmark = pytest.mark.integration

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
DEADLINE_SECONDS = 10.0
PASSED_THROUGH = (ProcessState.STARTING, ProcessState.READY, ProcessState.STOPPING, ProcessState.EXITED)


class Watched:
    """A child with everything that it told."""

    def __init__(self, folder: Path, spec: ProcessSpec) -> None:
        self.states: list[ProcessState] = []
        self.said: list[str] = []
        self.at_once = asyncio.Event()
        self.log_file = folder / "log"
        self.child = Child(
            spec, log_file=self.log_file, at_once=self.at_once, on_change=self._note, say=self.said.append
        )

    def _note(self) -> None:
        state = self.child.record().state
        if not self.states or self.states[-1] is not state:
            self.states.append(state)


def spec(code: str, **fields: object) -> ProcessSpec:
    return ProcessSpec(name="it", argv=(sys.executable, "-S", "-c", code), env=dict(os.environ), **fields)  # type: ignore[arg-type]  # any field of the spec


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what another process wrote sets no event
            await asyncio.sleep(0.01)


def is_deaf(watched: Watched) -> Callable[[], bool]:
    return lambda: watched.log_file.exists() and "deaf" in watched.log_file.read_text()


async def test_a_process_that_ignores_the_request_is_ended_by_force_after_the_grace(tmp_path: Path) -> None:
    watched = Watched(tmp_path, spec(STUBBORN, stop_grace_seconds=0.1))
    running = asyncio.create_task(watched.child.run(()))
    await until(is_deaf(watched))
    await watched.child.first_ready.wait()
    watched.child.stop()
    await asyncio.wait_for(running, DEADLINE_SECONDS)
    assert watched.states == list(PASSED_THROUGH)
    assert watched.said == ["it is still there; ending it by force"]


async def test_a_second_wish_to_stop_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    watched = Watched(tmp_path, spec(STUBBORN, stop_grace_seconds=600.0))
    running = asyncio.create_task(watched.child.run(()))
    await until(is_deaf(watched))
    watched.child.stop()
    watched.at_once.set()
    await asyncio.wait_for(running, DEADLINE_SECONDS)
    assert watched.states[-1] is ProcessState.EXITED


async def test_a_process_waits_for_what_it_depends_on(tmp_path: Path) -> None:
    dependency = asyncio.Event()
    watched = Watched(tmp_path, spec("import time; time.sleep(60)"))
    running = asyncio.create_task(watched.child.run((dependency,)))
    await asyncio.sleep(0)
    assert watched.child.record().pid is None
    dependency.set()
    await until(watched.child.first_ready.is_set)
    assert watched.child.record().pid is not None
    watched.child.stop()
    await asyncio.wait_for(running, DEADLINE_SECONDS)


async def test_a_stop_while_waiting_for_a_dependency_starts_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path, spec("print('never')"))
    running = asyncio.create_task(watched.child.run((asyncio.Event(),)))
    await asyncio.sleep(0)
    watched.child.stop()
    await asyncio.wait_for(running, DEADLINE_SECONDS)
    assert not watched.log_file.exists()
    assert watched.states == [ProcessState.EXITED]


async def test_a_program_that_is_not_there_fails_the_start(tmp_path: Path) -> None:
    nothing = ProcessSpec(name="it", argv=(str(tmp_path / "nothing"),), env={})
    watched = Watched(tmp_path, nothing)
    with pytest.raises(StartFailed, match="could not be started"):
        await asyncio.wait_for(watched.child.run(()), DEADLINE_SECONDS)


async def test_a_process_that_does_not_answer_its_probe_is_not_ready(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    deaf = spec("print('deaf', flush=True); import time; time.sleep(60)", probes=(TcpProbe(unused_tcp_port),))
    watched = Watched(tmp_path, deaf)
    running = asyncio.create_task(watched.child.run(()))
    await until(is_deaf(watched))
    assert watched.child.record().state is ProcessState.STARTING
    assert not watched.child.first_ready.is_set()
    watched.child.stop()
    await asyncio.wait_for(running, DEADLINE_SECONDS)
