"""A real Valkey on a socket of its own, for tests that need one."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hostler_cli.supervisor.binaries import valkey_server
from hostler_cli.supervisor.conf_files import valkey_conf
from tests.support.eventually import eventually_blocking


@dataclass
class ValkeyServer:
    """A running Valkey."""

    process: subprocess.Popen[bytes]
    socket_path: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    def answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.socket_path))
                client.sendall(b"PING\r\n")
                return client.recv(64) == b"+PONG\r\n"
        except OSError:
            return False

    def flush(self) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket_path))
            client.sendall(b"FLUSHALL\r\n")
            assert client.recv(64) == b"+OK\r\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_valkey(data_dir: Path) -> Iterator[ValkeyServer]:
    """Start one with the stack's own configuration, its data in `data_dir`; end it with the block."""
    # A socket's path may have some 100 characters, fewer than a test's folder has.
    with tempfile.TemporaryDirectory(prefix="hv-") as short:
        socket_path = Path(short) / "s"
        conf = data_dir / "valkey.conf"
        conf.write_text(valkey_conf(socket=socket_path, store_dir=data_dir))
        process = subprocess.Popen(
            [str(valkey_server({"PATH": "/usr/bin:/bin"})), str(conf)], stdout=subprocess.DEVNULL
        )
        server = ValkeyServer(process, socket_path)
        try:
            eventually_blocking(server.answers)
            yield server
        finally:
            server.kill()
