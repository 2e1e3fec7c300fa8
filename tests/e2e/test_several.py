"""Two of every service that can be two, on the whole stack: who leads is shown, and the work of a killed one goes on."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SCALE = ("api", "router", "scheduler", "autoscaler")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up(*(word for service in SCALE for word in ("--scale", f"{service}=2")))
    yield stack
    stack.down()


def processes(stack: Stack) -> dict[str, dict[str, object]]:
    found = stack.status()["processes"]
    assert isinstance(found, list)
    return {process["name"]: process for process in found}


def with_role(stack: Stack, service: str, role: str) -> list[str]:
    return [
        name
        for name, process in processes(stack).items()
        if name.startswith(service) and process["role"] == role
    ]


def phase(stack: Stack, name: str) -> object:
    return stack.http("GET", f"/v1/jobs/{name}").json()["status"]["phase"]


def deploy(stack: Stack, name: str) -> None:
    body = {"model": "made-up/model", "name": name, "runtime": "simulated", "hardware_profile": "cpu.small"}
    answer = stack.http("POST", "/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text


def test_one_of_each_leads_and_the_status_says_which(stack: Stack) -> None:
    for service in ("scheduler", "autoscaler"):
        assert len(with_role(stack, service, "leader")) == 1
        assert len(with_role(stack, service, "standing by")) == 1
    assert with_role(stack, "provisioner", "leader") == ["provisioner-1"]
    assert {processes(stack)[name]["role"] for name in ("api-1", "router-2", "nats")} == {None}
    assert "leader" in stack.hostler("status").stdout


@pytest.mark.parametrize("service", ["scheduler", "autoscaler"])
def test_a_leader_is_killed_and_there_are_two_again_of_which_one_leads(stack: Stack, service: str) -> None:
    (leader,) = with_role(stack, service, "leader")
    pid = processes(stack)[leader]["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    deploy(stack, f"after-{service}")
    until(lambda: phase(stack, f"after-{service}") == "Running", "the work goes on", timeout_seconds=120)
    # The supervisor is quick: the killed one may be back before its lease has run out, and win it again.
    until(
        lambda: [len(with_role(stack, service, role)) for role in ("leader", "standing by")] == [1, 1],
        "one leads and one stands by again",
        timeout_seconds=120,
    )
    assert processes(stack)[leader]["restarts"] == 1


def test_a_second_provisioner_is_refused_with_the_reason(stack: Stack) -> None:
    done = stack.hostler("up", "--scale", "provisioner=2")
    assert done.returncode == 2
    assert "one machine runs exactly one provisioner, which owns the processes of its replicas" in done.stderr
