"""`hostler up`, `status`, `down` as commands, on real servers."""

import json
import signal
import socket
import stat
import subprocess
from pathlib import Path

import psutil
import pytest

from hostler_cli.supervisor.lock import holder_pid
from hostler_domain.api_keys import checksum_ok
from tests.integration.supervisor.conftest import Stack, wait_until

pytestmark = pytest.mark.integration

ALL_NAMES = [
    "nats",
    "valkey",
    "api-1",
    "scheduler-1",
    "provisioner-1",
    "router-1",
    "router-2",
    "autoscaler-1",
]


def nats_greeting(url: str, password: str) -> bytes:
    """Log in by hand: the answer to a PING after CONNECT tells whether the server took the password."""
    host, port = url.removeprefix("nats://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.recv(4096)
        login = {"user": "operator", "pass": password, "verbose": False}
        client.sendall(f"CONNECT {json.dumps(login)}\r\nPING\r\n".encode())
        return client.recv(4096)


def test_up_runs_everything_and_down_leaves_nothing(stack: Stack) -> None:
    started = stack.up("--scale", "router=2")
    assert started.returncode == 0, started.stderr

    status = stack.status()
    assert status["ready"] is True
    assert [process["name"] for process in status["processes"]] == ALL_NAMES
    assert {"ready"} == {process["state"] for process in status["processes"]}
    assert f"api       {status['api_url']}" in started.stdout
    assert str(stack.layout.admin_key_file) in started.stdout

    password = stack.layout.nats_password_file.read_text().strip()
    assert nats_greeting(status["nats_url"], password).startswith(b"PONG")
    assert b"Authorization Violation" in nats_greeting(status["nats_url"], "wrong")
    with socket.socket(socket.AF_UNIX) as valkey:
        valkey.connect(status["valkey_url"].removeprefix("unix://"))
        valkey.sendall(b"PING\r\n")
        assert valkey.recv(64) == b"+PONG\r\n"

    down = stack.run("down")
    assert (down.returncode, stack.living()) == (0, [])
    assert stack.run("status").returncode == 3
    again = stack.run("down")
    assert again.returncode == 0
    assert "nothing runs" in again.stderr


def test_secrets_are_files_of_their_owner_and_reach_no_command_line(stack: Stack) -> None:
    stack.up()
    key = stack.layout.admin_key_file.read_text().strip()
    password = stack.layout.nats_password_file.read_text().strip()
    sealing = stack.layout.secret_key_file.read_text().strip()
    assert checksum_ok(key)

    open_to_others = [
        path
        for path in stack.data_dir.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    of_servers = {stack.layout.nats_dir, stack.layout.valkey_dir}
    assert [path for path in open_to_others if not of_servers & set(path.parents)] == []
    assert stat.S_IMODE(stack.data_dir.stat().st_mode) == 0o700
    for folder in of_servers:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    supervisor = psutil.Process(stack.status()["supervisor_pid"])
    for process in [supervisor, *supervisor.children(recursive=True)]:
        line = " ".join(process.cmdline())
        assert not any(secret in line for secret in (key, password, sealing)), line
    told = stack.layout.state_file.read_text() + json.dumps(stack.status())
    assert not any(secret in told for secret in (key, password, sealing))


def test_a_second_run_keeps_the_keys(stack: Stack) -> None:
    stack.up()
    first = stack.layout.admin_key_file.read_text()
    stack.run("down")
    assert stack.up().returncode == 0
    assert first == stack.layout.admin_key_file.read_text()


def test_a_second_up_on_the_same_folder_is_a_conflict_that_names_the_way_out(stack: Stack) -> None:
    stack.up()
    pid = stack.status()["supervisor_pid"]
    for arguments in ((), ("--detach",)):
        second = stack.run("up", *arguments)
        assert second.returncode == 5
        assert f"pid {pid}" in second.stderr
        assert f"hostler down --data-dir {stack.data_dir}" in second.stderr
    assert stack.status()["ready"] is True


def test_a_taken_port_is_told_before_anything_starts(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        refused = stack.run("up", "--detach", "--api-port", str(port))
    assert refused.returncode == 5
    assert f"--api-port {port}: already in use by" in refused.stderr
    assert list(stack.layout.log_dir.glob("nats*")) == []


def test_a_process_that_ends_is_started_again(stack: Stack) -> None:
    stack.up()
    before = stack.process("router-1")
    psutil.Process(before["pid"]).kill()
    wait_until(lambda: stack.process("router-1")["restarts"] == 1)
    wait_until(lambda: stack.status()["ready"])
    assert stack.process("router-1")["pid"] != before["pid"]


def test_a_service_that_cannot_start_fails_the_whole_with_the_end_of_its_log(stack: Stack) -> None:
    failed = stack.up(modes={"scheduler-1": "die"})
    assert failed.returncode == 1
    assert "scheduler-1 ended with status 1 before it was ready" in failed.stderr
    assert "the reason why it died" in failed.stderr
    assert stack.living() == []


def test_a_service_that_is_never_ready_is_a_timeout_that_names_it(stack: Stack) -> None:
    failed = stack.up("--timeout", "2", modes={"api-1": "hang"})
    assert failed.returncode == 6
    assert "not ready after 2 s: api-1" in failed.stderr
    assert stack.living() == []


def test_requests_end_first_and_replicas_last(stack: Stack) -> None:
    stack.up()
    stack.run("down")
    order = (stack.data_dir / "stops").read_text().split()
    assert order[0] == "router-1"
    assert set(order[1:4]) == {"autoscaler-1", "scheduler-1", "api-1"}
    assert order[4:] == ["provisioner-1"]


def test_what_a_service_forgot_to_end_is_ended_by_down(stack: Stack) -> None:
    stack.up(modes={"provisioner-1": "model"})
    children = psutil.Process(stack.process("provisioner-1")["pid"]).children()
    assert len(children) == 1
    stack.run("down")
    assert not children[0].is_running() or children[0].status() == psutil.STATUS_ZOMBIE


def test_no_child_outlives_a_killed_supervisor(stack: Stack) -> None:
    stack.up(modes={"provisioner-1": "model"})
    assert len(stack.living()) == 8
    psutil.Process(stack.status()["supervisor_pid"]).kill()
    wait_until(lambda: stack.living() == [])
    status = stack.run("status", "-o", "json")
    assert status.returncode == 3
    assert {"exited"} == {process["state"] for process in json.loads(status.stdout)["processes"]}


def test_up_works_at_once_after_the_supervisor_was_killed(stack: Stack) -> None:
    stack.up(modes={"provisioner-1": "model"})
    killed = psutil.Process(stack.status()["supervisor_pid"])
    killed.kill()
    wait_until(lambda: holder_pid(stack.layout.lock_file) is None)
    assert stack.up().returncode == 0
    status = stack.status()
    assert status["ready"] is True
    assert {status["instance"]} == {process.environ()["HOSTLER_INSTANCE"] for process in stack.living()}


def test_down_ends_what_a_killed_supervisor_and_its_guard_left(stack: Stack) -> None:
    stack.up()
    supervisor = psutil.Process(stack.status()["supervisor_pid"])
    guard = next(child for child in supervisor.children() if "hostler-guard" in child.cmdline())
    # Frozen, it can neither notice the guard's end nor make another.
    supervisor.suspend()
    guard.kill()
    supervisor.kill()
    wait_until(lambda: holder_pid(stack.layout.lock_file) is None)
    assert len(stack.living()) == 7
    down = stack.run("down")
    assert down.returncode == 0
    assert "ended 7 processes" in down.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)], ids=["ctrl-c", "term"]
)
def test_in_the_foreground_logs_carry_names_and_a_signal_stops_all(
    stack: Stack, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    said = tmp_path / "said"
    with said.open("w") as file:
        foreground = subprocess.Popen(
            stack.argv("up", "--api-port", "0", "--router-port", "0"),
            env=stack.environ,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
        with foreground:
            assert foreground.stdout is not None
            assert foreground.stdout.readline().startswith("api       http://127.0.0.1:")
            foreground.send_signal(number)
            assert code == foreground.wait(timeout=20)
    lines = said.read_text().splitlines()
    assert "router-1      | 10:11:12.345 info  hello  who=router-1" in lines
    assert any(line.startswith("nats          | ") and line.endswith("Server is ready") for line in lines)
    assert stack.living() == []


def test_a_deep_data_folder_gets_a_socket_that_the_kernel_accepts(stack: Stack) -> None:
    stack.data_dir = stack.data_dir / ("deep-" * 20) / "folder"
    assert stack.up().returncode == 0
    socket_path = Path(stack.status()["valkey_url"].removeprefix("unix://"))
    assert len(bytes(socket_path)) < 104
    assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
    stack.run("down")
    socket_path.parent.rmdir()


def test_a_lost_wish_is_a_usage_error(stack: Stack) -> None:
    wrong = stack.run("up", "--scale", "router=none")
    assert wrong.returncode == 2
    assert "--scale router=none" in wrong.stderr


def test_doctor_asks_the_running_services(stack: Stack) -> None:
    stack.up()
    report = stack.run("doctor", "-o", "json")
    checks = {check["name"]: check["verdict"] for check in json.loads(report.stdout)["checks"]}
    assert report.returncode == 0, report.stdout
    assert {"ok"} == {checks[name] for name in ("nats-server", "valkey", "stack", "api-1", "router-1")}
