"""A stack that was stopped, and one whose processes were killed, comes back with every job."""

import os
import signal

import pytest

from tests.e2e.conftest import MODEL, Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def demo(stack: Stack) -> str:
    done = stack.hostler("deploy", MODEL, "--name", "demo", "--wait")
    assert done.returncode == 0, done.stderr
    return "demo"


def answers(stack: Stack) -> bool:
    answer = stack.openai().chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hi"}], max_tokens=2
    )
    return answer.object == "chat.completion"


def phase(stack: Stack) -> str:
    found: str = stack.http("GET", "/v1/jobs/demo").json()["status"]["phase"]
    return found


def pid_of(stack: Stack, name: str) -> int:
    processes = stack.status()["processes"]
    assert isinstance(processes, list)
    return int(next(each["pid"] for each in processes if each["name"] == name))


def test_after_down_and_up_the_job_comes_back_and_answers(stack: Stack, demo: str) -> None:
    job = stack.http("GET", "/v1/jobs/demo").json()
    stack.down()
    assert stack.replica_pids() == []
    stack.up("--scale", "router=2")
    until(lambda: phase(stack) == "Running", "the job runs again")
    assert stack.http("GET", "/v1/jobs/demo").json()["job_id"] == job["job_id"]
    assert answers(stack)


def test_a_killed_provisioner_finds_its_replica_again_and_it_never_stops_serving(
    stack: Stack, demo: str
) -> None:
    until(lambda: phase(stack) == "Running", "the job runs")
    replicas = stack.replica_pids()
    old = pid_of(stack, "provisioner-1")
    os.kill(old, signal.SIGKILL)
    assert answers(stack)
    until(
        lambda: pid_of(stack, "provisioner-1") != old and stack.status()["ready"] is True, "it was restarted"
    )
    assert stack.replica_pids() == replicas
    assert answers(stack)


def test_a_killed_replica_is_noticed_and_replaced(stack: Stack, demo: str) -> None:
    until(lambda: phase(stack) == "Running", "the job runs")
    (old,) = stack.replica_pids()
    os.kill(old, signal.SIGKILL)
    until(lambda: stack.replica_pids() not in ([], [old]) and phase(stack) == "Running", "another one serves")
    until(lambda: answers(stack), "it answers")


def test_a_killed_nats_server_is_restarted_and_nothing_is_forgotten(stack: Stack, demo: str) -> None:
    before = stack.http("GET", "/v1/jobs/demo/events").json()["data"]
    os.kill(pid_of(stack, "nats"), signal.SIGKILL)
    assert answers(stack), "the data path does not need NATS"
    until(lambda: stack.http("GET", "/v1/jobs/demo/events").status_code == 200, "the log can be read again")
    after = stack.http("GET", "/v1/jobs/demo/events").json()["data"]
    assert after[: len(before)] == before
