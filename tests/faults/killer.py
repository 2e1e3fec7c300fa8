"""The killer: a seeded deck of targets, each ended by SIGKILL, sometimes while an earlier one is still down."""

import os
import random
import signal
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psutil

from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.state_file import ProcessRecord, ProcessState, read_state
from tests.faults.facts import Kill, Notebook
from tests.faults.witness import Census

REPLICA = "replica"
_SERVICE = "service"
_SERVERS = ("nats", "valkey")
# Of two hundred: 25 of NATS, 10 of Valkey, 40 of replicas, the others of services.
_SHARES = {"nats": 0.125, "valkey": 0.05, REPLICA: 0.2}
_RESTART_SECONDS = 40.0


def deck(kills: int, rng: random.Random) -> list[str]:
    """The kinds of targets in the order in which they are killed: each at least once, in these shares."""
    cards = [kind for kind, share in _SHARES.items() for _ in range(max(round(kills * share), 1))]
    cards = (cards + [_SERVICE] * (kills - len(cards)))[:kills]
    rng.shuffle(cards)
    return cards


@dataclass(frozen=True, slots=True)
class Prey:
    """A process to be killed, known by pid and the time of its start."""

    target: str
    pid: int
    create_time: float


def kill(prey: Prey, notebook: Notebook, number: signal.Signals = signal.SIGKILL) -> bool:
    """End this very process; false where it has ended already."""
    try:
        process = psutil.Process(prey.pid)
        if abs(process.create_time() - prey.create_time) > 2 or process.status() == psutil.STATUS_ZOMBIE:
            return False
        at = time.monotonic()
        os.kill(prey.pid, number)
    except (psutil.Error, ProcessLookupError):
        return False
    notebook.add(Kill(at, prey.target, prey.pid))
    return True


def supervised(layout: DataLayout) -> list[ProcessRecord]:
    """The processes of the stack as the supervisor tells them: the only way to know whom to kill."""
    state = read_state(layout.state_file)
    return list(state.processes) if state else []


def prey_named(layout: DataLayout, name: str) -> Prey | None:
    """A supervised process that lives."""
    for record in supervised(layout):
        if record.name == name and record.pid is not None and record.create_time is not None:
            return Prey(name, record.pid, record.create_time)
    return None


class Killer(threading.Thread):
    """Plays the deck once."""

    def __init__(
        self,
        layout: DataLayout,
        notebook: Notebook,
        rng: random.Random,
        *,
        kills: int,
        spare: Collection[str],
        gaps_seconds: tuple[float, float],
    ) -> None:
        """Make one; `spare` are replicas that it leaves alone."""
        super().__init__(name="killer")
        self._layout = layout
        self._notebook = notebook
        self._rng = rng
        self._cards = deck(kills, rng)
        self._spare = frozenset(spare)
        self._gaps_seconds = gaps_seconds
        self._census = Census(layout.data_dir)
        self.slow: list[str] = []
        """Processes that were not ready again in time."""

    def run(self) -> None:
        for card in self._cards:
            killed = self._kill_one(card)
            if killed != REPLICA and self._rng.random() < 0.5:
                self._await_restart(killed)
            time.sleep(self._rng.uniform(*self._gaps_seconds))

    def _kill_one(self, card: str) -> str:
        while True:
            chosen = self._choose(card)
            if chosen is not None and kill(chosen, self._notebook):
                return chosen.target
            time.sleep(0.1)

    def _choose(self, card: str) -> Prey | None:
        if card == REPLICA:
            return self._replica()
        living = [record for record in supervised(self._layout) if record.pid is not None]
        names: Sequence[str] = (
            [card] if card in _SERVERS else sorted(each.name for each in living if each.name not in _SERVERS)
        )
        return prey_named(self._layout, self._rng.choice(names)) if names else None

    def _replica(self) -> Prey | None:
        pids = [
            pid
            for replica, each in self._census.living().items()
            if replica not in self._spare
            for pid in each
        ]
        if not pids:
            return None
        pid = self._rng.choice(pids)
        try:
            return Prey(REPLICA, pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def _await_restart(self, name: str) -> None:
        deadline = time.monotonic() + _RESTART_SECONDS
        while time.monotonic() < deadline:
            if any(
                each.name == name and each.state is ProcessState.READY for each in supervised(self._layout)
            ):
                return
            time.sleep(0.05)
        self.slow.append(name)
