"""The whole stack for real: `hostler up` as a user runs it, a real model, real clients.

Starting takes seconds, so the tests of a module share one stack. Ports are free ones and the data lies in a temporary folder,
so a stack of the developer's own is not disturbed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import openai
import psutil
import pytest

from hostler_client import HostlerClient
from tests.support.servers import free_port

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
# Room for two replicas, whatever the machine has: what is tested is not how fast they are.
_CORES = "4"


@dataclass
class Stack:
    """One installation on this machine."""

    data_dir: Path
    api_port: int = field(default_factory=free_port)
    router_port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    clients: list[openai.OpenAI] = field(default_factory=list)

    def hostler(self, *arguments: str, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user does."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOSTLER_")}
        environment |= {"HOSTLER_DATA_DIR": str(self.data_dir), "HOSTLER_PROVISIONER_NODE_CPU_CORES": _CORES}
        environment |= {"HOSTLER_ROUTER_METRICS_PERIOD_SECONDS": "1", "NO_COLOR": "1", **self.environment}
        return subprocess.run(
            [sys.executable, "-m", "hostler_cli", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=timeout_seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def up(self, *options: str) -> None:
        ports = ("--api-port", str(self.api_port), "--router-port", str(self.router_port))
        done = self.hostler("up", "--detach", *ports, *options)
        assert done.returncode == 0, done.stderr + done.stdout

    def down(self) -> None:
        while self.clients:
            self.clients.pop().close()
        done = self.hostler("down")
        assert done.returncode == 0, done.stderr + done.stdout

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text().strip()

    @property
    def api(self) -> HostlerClient:
        return HostlerClient(api_url=f"http://127.0.0.1:{self.api_port}", api_key=self.key)

    def openai(self, key: str | None = None) -> openai.OpenAI:
        """The stock client, without its own retries, so that a test sees the first answer."""
        url = f"http://127.0.0.1:{self.router_port}/v1"
        client = openai.OpenAI(base_url=url, api_key=key or self.key, max_retries=0, timeout=60)
        self.clients.append(client)
        return client

    def http(self, method: str, path: str, **options: object) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        url = f"http://127.0.0.1:{self.api_port}{path}"
        return httpx2.request(method, url, headers=headers, timeout=30, **options)  # type: ignore[arg-type]  # passed on

    def status(self) -> dict[str, object]:
        state: dict[str, object] = json.loads(self.hostler("status", "-o", "json").stdout)
        return state

    def log_lines(self, service: str) -> list[dict[str, object]]:
        """Everything that the processes of a service have logged."""
        lines = []
        for path in sorted((self.data_dir / "logs").glob(f"{service}-*.log")):
            lines += [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
        return lines

    def replica_pids(self) -> list[int]:
        """Model servers of this stack that live, by what the operating system says."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "status"]):
            line = " ".join(process.info["cmdline"] or ())
            living = process.info["status"] != psutil.STATUS_ZOMBIE
            if living and "_server.py" in line and str(self.data_dir) in line:
                found.append(process.info["pid"])
        return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.up("--scale", "router=2")
    yield stack
    stack.down()


def until(condition: Callable[[], bool], what: str, *, timeout_seconds: float = 60) -> None:
    """Come back as soon as `condition` holds."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_seconds} s: {what}"
        time.sleep(0.1)
