"""A load trace on the whole stack: from one replica to four and back to one, and no request fails on the way."""

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.e2e.conftest import Stack, until
from tests.e2e.load_trace import Trace
from tests.e2e.test_simulated import QUICK, changes, deploy, ready_ids, replicas_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

TARGET_RPS = 3
CALM_RPS, BUSY_RPS = 1.0, 11.0


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("stack"), environment={"HOSTLER_ROUTER_RUNTIME_METRICS_SECONDS": "2"}
    )
    stack.up("--scale", "router=2")
    yield stack
    stack.down()


def test_a_load_trace_scales_from_one_to_four_and_back_to_one_without_a_failed_request(stack: Stack) -> None:
    # No window, so that it steps down within seconds of the load's end.
    scaling = {"min_replicas": 1, "max_replicas": 4, "stabilisation_window_seconds": 0}
    deploy(stack, "traced", QUICK, scaling=scaling, target_rps=TARGET_RPS)
    until(lambda: len(ready_ids(stack, "traced")) == 1, "the first replica is ready")
    trace = Trace(stack, "traced", rps=CALM_RPS)
    try:
        until(lambda: trace.answered >= 5, "it answers")
        trace.rps = BUSY_RPS
        until(lambda: len(ready_ids(stack, "traced")) == 4, "load has added three", timeout_seconds=120)
        trace.rps = CALM_RPS
        calm_at = time.monotonic()
        until(lambda: len(ready_ids(stack, "traced")) == 1, "calm has taken them away", timeout_seconds=90)
        calm_seconds = time.monotonic() - calm_at
        until(lambda: len(replicas_in(stack, "traced", "Terminated")) >= 3, "they are gone")
    finally:
        trace.stop()

    assert trace.failures == []
    scaled = changes(stack, "traced", "job.scaled")
    steps = [change["desired_replicas"] for change in scaled]
    print(f"{trace.answered} requests, replicas {[1, *steps]}, one {calm_seconds:.0f} s after the load's end")
    assert max(steps) == 4
    assert steps[-1] == 1
    turned = sum((c - b) * (b - a) < 0 for (a, b), (_, c) in pairwise(pairwise([1, *steps])))
    assert turned == 1
    # What each decision was made from is carried along, and is of that moment.
    assert all(change["policy_state"] for change in scaled)
