"""A real nats-server and a real Valkey under the real supervisor; the five services are small scripts of the same names."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from hostler_cli.supervisor.layout import DataLayout

ROOT = Path(__file__).parents[3]
SERVICES = ("api", "scheduler", "provisioner", "router", "autoscaler")

# Answers 200 on its port for operations, and does what FAKE_MODES says for its name.
FAKE_SERVICE = """
import json, os, signal, socket, subprocess, sys, time

service = __package__.removeprefix("hostler_").upper()
name = os.environ[f"HOSTLER_{service}_NAME"]
mode = json.loads(os.environ.get("FAKE_MODES", "{}")).get(name)

def on_stop(*_):
    with open(os.path.join(os.environ["HOSTLER_DATA_DIR"], "stops"), "a") as stops:
        stops.write(name + "\\n")
    sys.exit(0)

signal.signal(signal.SIGTERM, on_stop)
print(json.dumps({"timestamp": "2026-11-21T10:11:12.345Z", "level": "info", "event": "hello", "who": name}), flush=True)
if mode == "die":
    sys.exit("the reason why it died")
if mode == "model":
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
if mode == "hang":
    time.sleep(600)
server = socket.create_server(("127.0.0.1", int(os.environ[f"HOSTLER_{service}_OPS_PORT"])))
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n{}")
    connection.close()
"""

# The command as people run it, without the other commands.
HOSTLER = (
    "import typer; from hostler_cli.stack_commands import register; "
    "app = typer.Typer(); register(app); app(prog_name='hostler')"
)


@dataclass
class Stack:
    """One data folder, and the `hostler` command on it."""

    data_dir: Path
    environ: dict[str, str] = field(repr=False)

    @property
    def layout(self) -> DataLayout:
        return DataLayout(self.data_dir)

    def argv(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, "-c", HOSTLER, command, "--data-dir", str(self.data_dir), *arguments]

    def run(
        self, command: str, *arguments: str, modes: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environ = {**self.environ, "FAKE_MODES": json.dumps(modes or {})}
        return subprocess.run(
            self.argv(command, *arguments),
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def up(self, *arguments: str, modes: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--detach", "--api-port", "0", "--router-port", "0", *arguments, modes=modes)

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run("status", "-o", "json").stdout)
        return document

    def process(self, name: str) -> dict[str, Any]:
        return next(process for process in self.status()["processes"] if process["name"] == name)

    def living(self) -> list[psutil.Process]:
        """List every process of this folder, whoever started it."""
        found = []
        for process in psutil.process_iter():
            try:
                instance = process.environ().get("HOSTLER_INSTANCE", "")
                if (
                    instance.startswith(self.layout.instance_prefix)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.03)


@pytest.fixture(scope="session")
def fake_services(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fakes")
    for service in SERVICES:
        package = folder / f"hostler_{service}"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(FAKE_SERVICE)
    return folder


@pytest.fixture
def stack(tmp_path: Path, fake_services: Path) -> Iterator[Stack]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOSTLER_")}
    path = os.pathsep.join([str(fake_services), str(ROOT / "libs"), str(ROOT / "cli")])
    stack = Stack(tmp_path / "data", {**kept, "PYTHONPATH": path, "NO_COLOR": "1"})
    yield stack
    stack.run("down")
    assert stack.living() == []
