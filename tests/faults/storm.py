"""A storm on a real stack, and the judgement of it. `make storm` runs this with two hundred kills; the tests run it with a few.

    users and callers --> stack of `hostler up` <-- killer
           |                    |                     |
      requests.jsonl      witness: living.jsonl   kills.jsonl      and the stream itself
           '--------------------+---------------------'------------> checker

First the storm, then the calm: users finish what they wished, and within a minute every job is as its wishes say. Then all jobs are
deleted, and not one process may be left.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.state_file import read_state
from tests.e2e.conftest import Stack
from tests.faults.checker import Violation, check, failed_chats, unsettled, wanted_by
from tests.faults.facts import Kill, Notebook, Request, Sample, Wish, read_facts
from tests.faults.hands import Addresses, Hands, body_of
from tests.faults.killer import Killer
from tests.faults.report import Report, describe
from tests.faults.stream import StreamReader
from tests.faults.users import Caller, User, Writer
from tests.faults.witness import Census, dismiss, start_witness

CALM_SECONDS = 60.0
_START_SECONDS = 60.0
_POLL_SECONDS = 0.5
_CORES = "24"
"""Offered to replicas: simulated ones need no core each."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad a storm is."""

    kills: int
    seed: int
    users: int = 3
    gaps_seconds: tuple[float, float] = (0.3, 2.0)
    scale: tuple[str, ...] = ()
    """Options for `hostler up`, such as `--scale router=2`."""


class Storm:
    """One storm on one stack that runs."""

    def __init__(self, stack: Stack, weather: Weather, folder: Path) -> None:
        self._stack = stack
        self._weather = weather
        self._folder = folder
        self._layout = DataLayout(stack.data_dir)
        state = read_state(self._layout.state_file)
        assert state is not None
        self._addresses = Addresses(state.api_url, state.router_url, stack.key)
        self._reader = StreamReader(state.nats_url, self._layout.nats_password_file)
        self._census = Census(stack.data_dir)
        self._requests = Notebook(folder / "requests.jsonl")
        self._kills = Notebook(folder / "kills.jsonl")

    def run(self) -> Report:
        """Storm, calm, deletion, judgement."""
        witness = start_witness(self._stack.data_dir, self._folder / "living.jsonl")
        hands = Hands("keeper", self._addresses, self._requests)
        try:
            steady, spared = self._make_steady_job(hands)
            began = time.monotonic()
            slow = self._storm(steady, spared)
            calm_from = time.monotonic()
            problems = self._await_calm()
            calm_seconds = time.monotonic() - calm_from
            problems += self._every_job_answers(hands)
            problems += [
                Violation("data path", f"replica {each} of the untouched job did not live to the end")
                for each in sorted(spared - self._census.living().keys())
            ]
            deleted_from = time.monotonic()
            problems += self._delete_all(hands)
            gone_seconds = time.monotonic() - deleted_from
        finally:
            hands.close()
            dismiss(witness)
            self._requests.close()
            self._kills.close()
        requests = read_facts(self._folder / "requests.jsonl", Request)
        kills = read_facts(self._folder / "kills.jsonl", Kill)
        samples = read_facts(self._folder / "living.jsonl", Sample)
        events = self._reader.catch_up()
        return Report(
            requests=requests,
            kills=kills,
            samples=samples,
            events=events,
            violations=[
                *problems,
                *check(requests, events, samples),
                *failed_chats([each for each in requests if each.began > began], kills, steady),
            ],
            storm_seconds=calm_from - began,
            calm_seconds=calm_seconds,
            gone_seconds=gone_seconds,
            slow=slow,
        )

    def _make_steady_job(self, hands: Hands) -> tuple[str, frozenset[str]]:
        """A job that nobody touches, with its replicas, once they answer."""
        mark = hands.new_mark()
        made = hands.create(body_of(mark, name="steady", replicas=2, tokens=20), mark)
        assert made.job_id is not None, made.said
        deadline = time.monotonic() + _START_SECONDS
        while len(self._census.living()) < 2 or not hands.chat(made.job_id, stream=False).acknowledged:
            assert time.monotonic() < deadline, "the untouched job did not start"
            time.sleep(_POLL_SECONDS)
        return made.job_id, frozenset(self._census.living())

    def _storm(self, steady: str, spared: frozenset[str]) -> list[str]:
        rng = random.Random(self._weather.seed)
        stop = threading.Event()
        users: list[threading.Thread] = [
            User(f"user{number}", self._addresses, self._requests, random.Random(rng.random()), stop)
            for number in range(self._weather.users)
        ]
        users += [Writer(steady, self._addresses, self._requests, stop)]
        users += [
            Caller(f"caller{number}", steady, self._addresses, self._requests, stop) for number in range(2)
        ]
        killer = Killer(
            self._layout,
            self._kills,
            random.Random(rng.random()),
            kills=self._weather.kills,
            spare=spared,
            gaps_seconds=self._weather.gaps_seconds,
        )
        for user in users:
            user.start()
        killer.start()
        killer.join()
        stop.set()
        for user in users:
            user.join()
        return killer.slow

    def _await_calm(self) -> list[Violation]:
        """Until every job is as its wishes say, or the time is over; then what is still wrong."""
        deadline = time.monotonic() + CALM_SECONDS
        while problems := unsettled(self._reader.catch_up(), self._census.living()):
            if time.monotonic() > deadline:
                return problems
            time.sleep(_POLL_SECONDS)
        return []

    def _every_job_answers(self, hands: Hands) -> list[Violation]:
        """Ask each job that is meant to run; its processes may have come up a moment ago."""
        found = []
        for job_id, job in wanted_by(self._reader.events).items():
            if not job.runs:
                continue
            deadline = time.monotonic() + CALM_SECONDS
            while not (answer := hands.chat(job_id, stream=True)).acknowledged:
                if time.monotonic() > deadline:
                    found.append(Violation("unsettled", f"job {job_id} does not answer: {answer.said}"))
                    break
                time.sleep(_POLL_SECONDS)
        return found

    def _delete_all(self, hands: Hands) -> list[Violation]:
        for job_id, job in wanted_by(self._reader.events).items():
            if job.asked is not Wish.DELETE:
                hands.ask(Wish.DELETE, job_id)
        return self._await_calm()


def run_storm(folder: Path, weather: Weather) -> Report:
    """Bring a stack up in `folder`, storm it, take it down, and see that nothing is left of it."""
    environment = {
        "HOSTLER_PROVISIONER_NODE_CPU_CORES": _CORES,
        "HOSTLER_PROVISIONER_STOP_GRACE_SECONDS": "2",
        "HOSTLER_ROUTER_PRESENCE_TTL_SECONDS": "5",
        "HOSTLER_AUTOSCALER_TICK_SECONDS": "5",
    }
    stack = Stack(folder / "stack", environment=environment)
    stack.up(*weather.scale)
    try:
        report = Storm(stack, weather, folder).run()
    finally:
        stack.down()
    report.violations += [
        Violation("orphan", f"process {process.pid} outlived the stack")
        for process in psutil.process_iter()
        if _is_of(process, DataLayout(stack.data_dir).instance_prefix)
    ]
    return report


def _is_of(process: psutil.Process, instance_prefix: str) -> bool:
    try:
        return process.environ().get("HOSTLER_INSTANCE", "").startswith(instance_prefix)
    except psutil.Error:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Kill processes of a stack at random and judge what is left."
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--users", type=int, default=3)
    parser.add_argument("--scale", action="append", default=[], metavar="SERVICE=COUNT")
    parser.add_argument("--keep", type=Path, help="folder for the stack's data and the notebooks; kept")
    chosen = parser.parse_args()
    scale = tuple(part for each in chosen.scale for part in ("--scale", each))
    weather = Weather(chosen.kills, chosen.seed, users=chosen.users, scale=scale)
    if chosen.keep is not None:
        chosen.keep.mkdir(parents=True)
        report = run_storm(chosen.keep, weather)
    else:
        with tempfile.TemporaryDirectory(prefix="hostler-storm-") as folder:
            report = run_storm(Path(folder), weather)
    print(describe(report))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
