"""Row 12 of the fault matrix, and one replica killed on the real llama server: what needs the whole stack, because others than the router take part."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler_provisioner.local.simulated_server import answer_words
from tests.e2e.conftest import MODEL, Stack, until
from tests.faults.callers import Callers, End, Heard, all_heard, ends

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WORDS = 30
ARGS = {
    "first_token_seconds": "0.02",
    "tokens_per_second": "15",
    "completion_tokens": str(WORDS),
    "n_parallel": "256",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up("--scale", "router=2")
    yield stack
    stack.down()


class Crowd:
    """Streams all the time, from a thread with a loop of its own, until told to stop."""

    def __init__(self, callers: Callers, count: int) -> None:
        self.heard: list[Heard] = []
        self._callers = callers
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(count)))
        self._thread.start()

    async def _run(self, count: int) -> None:
        await asyncio.gather(*(self._call() for _ in range(count)))

    async def _call(self) -> None:
        while not self._over.is_set():
            self.heard.append(await self._callers.ask())

    def stop(self) -> list[Heard]:
        self._over.set()
        self._thread.join()
        return self.heard


def callers_of(stack: Stack, name: str) -> Callers:
    return Callers(f"http://127.0.0.1:{stack.router_port}", stack.key, name)


def ready_ids(stack: Stack, name: str) -> set[str]:
    replicas = stack.http("GET", f"/v1/jobs/{name}").json()["status"]["replicas"]
    return {replica["replica_id"] for replica in replicas if replica["state"] == "Ready"}


def test_row_12_scaling_down_and_a_restart_under_streams_fail_none(stack: Stack) -> None:
    body = {
        "model": "made-up/model",
        "name": "moving",
        "runtime": "simulated",
        "hardware_profile": "cpu.small",
        "serving": {"args": ARGS},
        "scaling": {"min_replicas": 3, "max_replicas": 3},
    }
    answer = stack.http("POST", "/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    until(lambda: len(ready_ids(stack, "moving")) == 3, "all serve")
    crowd = Crowd(callers_of(stack, "moving"), 30)
    try:
        until(lambda: len(crowd.heard) > 30, "streams are under way")
        fewer = {"scaling": {"min_replicas": 1, "max_replicas": 1}}
        assert stack.http("PATCH", "/v1/jobs/moving", json=fewer).status_code == 202
        until(lambda: len(ready_ids(stack, "moving")) == 1, "two are gone")
        until(lambda: len(stack.replica_pids()) == 1, "and have ended")
        before = ready_ids(stack, "moving")
        assert stack.http("POST", "/v1/jobs/moving/restart").status_code == 202
        until(lambda: len(ready_ids(stack, "moving") - before) == 1, "another one serves")
        until(lambda: len(stack.replica_pids()) == 1, "and the old one has ended")
    finally:
        heard = crowd.stop()

    failed = [each for each in heard if each.end is not End.DONE]
    print(f"row 12: {len(heard)} streams under a scale-down from 3 to 1 and a restart: {len(failed)} failed")
    assert failed == []
    assert {each.text for each in heard} == {"".join(answer_words(WORDS))}
    assert stack.hostler("jobs", "delete", "moving", "--yes", "--wait").returncode == 0


def processes_of(stack: Stack, replica_ids: set[str]) -> dict[str, int]:
    """The process of each replica, by what the operating system says."""
    found = {}
    for pid in stack.replica_pids():
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        marks = dict(each.split(b"=", 1) for each in environment if b"=" in each)
        replica_id = marks.get(b"HOSTLER_REPLICA_ID", b"").decode()
        if replica_id in replica_ids:
            found[replica_id] = pid
    return found


def test_row_9_a_real_server_killed_mid_stream_ends_no_stream_without_a_word(stack: Stack) -> None:
    done = stack.hostler(
        "deploy",
        MODEL,
        "--name",
        "real",
        "--min-replicas",
        "2",
        "--max-replicas",
        "2",
        "--wait",
        "-o",
        "json",
    )
    assert done.returncode == 0, done.stderr
    job_id = json.loads(done.stdout)["job_id"]
    until(lambda: len(ready_ids(stack, "real")) == 2, "both serve")
    pids = processes_of(stack, ready_ids(stack, "real"))
    assert len(pids) == 2

    async def streams_through_a_kill() -> list[Heard]:
        callers = callers_of(stack, job_id)
        calls = await callers.open_many(8, max_tokens=200, temperature=0)
        # Each replica has about half of them, and works on some at a time.
        async with asyncio.timeout(60):
            while sum(call.words >= 3 for call in calls) < 2:  # noqa: ASYNC110  # what is waited for tells nobody
                await asyncio.sleep(0.01)
        os.kill(min(pids.values()), signal.SIGKILL)
        return await all_heard(calls)

    heard = asyncio.run(streams_through_a_kill())
    resumed = sum(each.resumed for each in heard)
    print(f"row 9: 8 streams on the real server, one of two killed: {ends(heard)}, {resumed} resumed")
    assert {each.end for each in heard} <= {End.DONE, End.ERROR, End.ABORTED}
    assert End.DONE in {each.end for each in heard}, "the other replica had nothing to do with it"
    began = time.monotonic()
    again = asyncio.run(callers_of(stack, job_id).ask(max_tokens=4))
    print(f"row 9: the next request was answered in {time.monotonic() - began:.1f} s")
    assert again.end is End.DONE
    assert stack.hostler("jobs", "delete", "real", "--yes", "--wait").returncode == 0
