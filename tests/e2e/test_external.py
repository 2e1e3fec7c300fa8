"""Servers that run already, on the whole stack: adopted, routed to with their own key, forgotten, and never touched."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import openai
import pytest

from hostler_provisioner.local import simulated_server
from hostler_provisioner.local.simulated_parameters import SimulatedParameters
from tests.e2e.conftest import Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

KEY = "the-servers-own-key"
QUESTION = [{"role": "user", "content": "Hello"}]


@dataclass
class Server:
    """A server that nobody of the stack started: here a simulated one, whose key is not of the stack's making."""

    process: subprocess.Popen[bytes]
    url: str


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    started = []
    for number in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        launch = tmp_path / f"launch-{number}.json"
        parameters = asdict(SimulatedParameters(first_token_seconds=0.01, completion_tokens=3))
        launch.write_text(
            json.dumps({"served_name": "theirs", "host": "127.0.0.1", "port": port, **parameters})
        )
        process = subprocess.Popen(
            [sys.executable, "-I", simulated_server.__file__, str(launch)],
            env={simulated_server.KEY_VARIABLE: KEY},
            stdout=subprocess.DEVNULL,
        )
        started.append(Server(process, f"http://127.0.0.1:{port}"))
    yield started
    for server in started:
        server.process.kill()
        server.process.wait()


def ready(stack: Stack) -> int:
    count: int = stack.http("GET", "/v1/jobs/theirs").json()["status"]["ready_replicas"]
    return count


def ask(stack: Stack) -> openai.types.chat.ChatCompletion:
    return stack.openai().chat.completions.create(model="theirs", messages=QUESTION)  # type: ignore[arg-type]  # plain dicts


def provisioner_pid(stack: Stack) -> int:
    processes = stack.status()["processes"]
    assert isinstance(processes, list)
    return next(int(each["pid"] or 0) for each in processes if each["name"] == "provisioner-1")


def test_servers_that_run_already_are_adopted_and_left_alone(stack: Stack, servers: list[Server]) -> None:
    stack.environment["HOSTLER_UPSTREAM_KEY"] = KEY
    endpoints = [option for server in servers for option in ("--endpoint", f"{server.url}/v1")]
    done = stack.hostler(
        "deploy", "their/model", "--name", "theirs", "--runtime", "external", *endpoints, "--wait"
    )
    assert done.returncode == 0, done.stderr
    until(lambda: ready(stack) == 2, "both serve")
    assert ask(stack).usage.completion_tokens == 3  # type: ignore[union-attr]  # it has one

    # A provisioner that was killed finds them again, and sees what becomes of them; the first look of the next one is at
    # servers that serve, so no replica is lost.
    pid = provisioner_pid(stack)
    os.kill(pid, signal.SIGKILL)
    until(lambda: provisioner_pid(stack) not in (0, pid), "the provisioner is started again")
    servers[0].process.kill()
    until(lambda: ready(stack) == 1, "the one that its owner ended is left out")
    assert [ask(stack).object for _ in range(5)] == ["chat.completion"] * 5
    events = stack.http("GET", "/v1/jobs/theirs/events").json()["data"]
    types = [event["type"].removeprefix("dev.hostler.").removesuffix(".v1") for event in events]
    assert types.count("replica.unhealthy") == 1
    assert types.count("replica.failed") == 0
    assert types.count("replica.scheduled") == 2

    assert stack.hostler("jobs", "delete", "theirs", "--yes", "--wait").returncode == 0
    assert servers[1].process.poll() is None
    for path in (stack.data_dir / "logs").iterdir():
        assert KEY not in path.read_text(errors="replace"), path


def test_the_metadata_address_of_a_cloud_is_refused(stack: Stack) -> None:
    done = stack.hostler("deploy", "a/b", "--runtime", "external", "--endpoint", "http://169.254.169.254/v1")
    assert done.returncode == 2
    assert "external.endpoints.0" in done.stderr
