"""A real Valkey with the configuration that Hostler writes for it: on a port, with a password, its data in a folder."""

import os
import signal
import time
from pathlib import Path

import redis

from hostler_cli.supervisor.binaries import valkey_server
from hostler_cli.supervisor.conf_files import ValkeyPort, valkey_conf
from tests.support.servers import chosen, free_port

PASSWORD = "only-for-tests"
_READY_SECONDS = 30.0


class ValkeyServer:
    """One server; its port and its data stay the same over restarts."""

    def __init__(self, folder: Path) -> None:
        place = chosen()
        self.port = free_port()
        store, conf = folder / "valkey", folder / "valkey.conf"
        store.mkdir()
        conf.touch(mode=0o600)
        listens = ValkeyPort(self.port, PASSWORD, "*" if place.containers else "127.0.0.1")
        conf.write_text(valkey_conf(listens=listens, store_dir=store))
        program = "" if place.containers else str(valkey_server(os.environ))
        self._server = place.server("valkey", program, [str(conf)], folder, self.port)

    def client(self, password: str | None = PASSWORD) -> redis.Redis:
        return redis.Redis(port=self.port, password=password, decode_responses=True, socket_timeout=10)

    @property
    def url(self) -> str:
        """As services take it."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Its address behind a proxy."""
        return f"redis://:{PASSWORD}@127.0.0.1:{port}"

    def start(self) -> None:
        self._server.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if not self._server.is_alive() or time.monotonic() > deadline:
                log = self._server.log()
                self.remove()
                raise RuntimeError(f"Valkey did not start:\n{log}")
            time.sleep(0.02)

    def kill(self) -> None:
        self._server.send(signal.SIGKILL)
        self._server.wait()

    def freeze(self) -> None:
        """Let it stand still: connections stay open, and nothing is answered."""
        self._server.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._server.send(signal.SIGCONT)

    def remove(self) -> None:
        self.kill()
        self._server.remove()

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # also while it reads its file back
                return False
