"""Row 21 of the fault matrix, with real processes: load metrics that are missing, wrong, stale or oscillating move nothing that they should not."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import nats
import pytest

from hostler_cli.supervisor.layout import DataLayout
from hostler_cli.supervisor.state_file import read_state
from tests.e2e.conftest import Stack, until
from tests.e2e.load_trace import Trace
from tests.e2e.test_simulated import QUICK, changes, deploy, ready_ids
from tests.faults.killer import supervised

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

IDLE_SECONDS = 5
"""The jobs sleep after so little, so that a gap that counted as quiet would show."""
GAP_SECONDS = 35.0
"""Beyond the 20 seconds from which on there is no data, and a while in that state."""
SWING_SECONDS, SWINGS = 8.0, 8


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up("--scale", "router=2")
    yield stack
    stack.down()


@pytest.fixture
def trace(stack: Stack) -> Iterator[Trace]:
    """A job that serves one request in a second, with room for two more replicas."""
    scaling = {
        "min_replicas": 0,
        "max_replicas": 3,
        "initial_replicas": 1,
        "stabilisation_window_seconds": IDLE_SECONDS,
        "scale_to_zero_after_seconds": IDLE_SECONDS,
    }
    deploy(stack, "steady", QUICK, scaling=scaling, target_rps=2)
    trace = Trace(stack, "steady", rps=1)
    try:
        until(lambda: len(ready_ids(stack, "steady")) >= 1 and trace.answered > 5, "it answers")
        yield trace
    finally:
        trace.stop()
        stack.hostler("jobs", "delete", "steady", "--yes", "--wait")


def send(stack: Stack, number: signal.Signals) -> None:
    """To every router."""
    for process in supervised(DataLayout(stack.data_dir)):
        if process.name.startswith("router") and process.pid is not None:
            os.kill(process.pid, number)


def scaled(stack: Stack) -> list[int]:
    return [int(str(change["desired_replicas"])) for change in changes(stack, "steady", "job.scaled")]


def held_for(stack: Stack, seconds: float) -> list[int]:
    """Every number of replicas that was decided within these seconds; that nothing happens in them has no condition to wait for."""
    before, until_at = len(scaled(stack)), time.monotonic() + seconds
    while time.monotonic() < until_at:
        assert ready_ids(stack, "steady"), "its last replica was taken away"
        time.sleep(0.5)
    return scaled(stack)[before:]


def test_metrics_that_are_missing_take_no_replica_away(stack: Stack, trace: Trace) -> None:
    try:
        send(stack, signal.SIGSTOP)
        assert held_for(stack, GAP_SECONDS) == []
    finally:
        send(stack, signal.SIGCONT)
    answered = trace.answered
    until(lambda: trace.answered > answered + 3, "it answers again")
    # What comes late tells of the past: it is counted where it belongs.
    assert held_for(stack, 5) == []


def window(stack: Stack, **wrong: object) -> bytes:
    """A load window of a router that nobody knows, with what is wrong about it."""
    job_id = stack.http("GET", "/v1/jobs/steady").json()["job_id"]
    data = {
        "router": "stranger",
        "job_id": job_id,
        "started_at": (datetime.now(UTC) - timedelta(seconds=5)).isoformat(),
        "seconds": 5.0,
        "arrivals": 5000,
        "completed": 5000,
        "failed": 0,
        "in_flight": 500,
        **wrong,
    }
    event = {
        "id": f"stranger-{time.monotonic_ns()}",
        "source": "/hostler/router/stranger",
        "specversion": "1.0",
        "type": "dev.hostler.load.window.v1",
        "subject": job_id,
        "time": datetime.now(UTC).isoformat(),
        "project": "default",
        "data": data,
    }
    return json.dumps(event).encode()  # not a number is written as NaN, which is no JSON


async def publish(stack: Stack, job_id: str, *messages: bytes) -> None:
    layout = DataLayout(stack.data_dir)
    state = read_state(layout.state_file)
    assert state is not None
    client = await nats.connect(
        state.nats_url, user="operator", password=layout.nats_password_file.read_text().strip()
    )
    try:
        for message in messages:
            await client.jetstream().publish(f"hostler.metrics.default.{job_id}", message)
    finally:
        await client.close()


def test_metrics_that_are_wrong_or_stale_move_nothing(stack: Stack, trace: Trace) -> None:
    job_id = stack.http("GET", "/v1/jobs/steady").json()["job_id"]
    nan, hour = float("nan"), timedelta(hours=1)
    messages = [
        b"",
        b"not a window",
        window(stack, arrivals=nan),
        window(stack, in_flight=nan),
        window(stack, seconds=nan),
        window(stack, seconds=float("inf")),
        window(stack, seconds=0),
        window(stack, seconds=-5),
        window(stack, arrivals=-5000),
        window(stack, arrivals=float("inf")),
        window(stack, latency_total_ms=nan, arrivals=0, in_flight=0),
        window(stack, started_at=(datetime.now(UTC) - hour).isoformat()),
        window(stack, started_at="yesterday"),
    ]
    before = len(unreadable(stack))
    asyncio.run(publish(stack, job_id, *messages))
    assert held_for(stack, 10) == []
    assert trace.failures == []
    # All but the one that is merely old were refused, and that is told.
    until(lambda: len(unreadable(stack)) - before == len(messages) - 1, "every one is logged")


def unreadable(stack: Stack) -> list[object]:
    return [line for line in stack.log_lines("autoscaler") if line["event"] == "window.undecodable"]


def test_metrics_that_oscillate_do_not_make_the_replicas_oscillate(stack: Stack, trace: Trace) -> None:
    began = len(scaled(stack))
    for swing in range(SWINGS):
        trace.rps = 0.5 if swing % 2 else 8
        # The time is what swings.
        time.sleep(SWING_SECONDS)
    steps = [1, *scaled(stack)[began:]]
    turned = sum((c - b) * (b - a) < 0 for (a, b), (_, c) in pairwise(pairwise(steps)))
    print(f"replicas {steps} over {SWINGS} swings of {SWING_SECONDS:g} s")
    assert max(steps) > 1
    # Each look tells of a minute, so swings within one are no reason to give anything back. Following the load would turn at every swing.
    assert turned <= 1
    assert trace.failures == []
