"""Real servers for tests, from one of two places: the wheels of the environment, as child processes, or images, as containers.

HOSTLER_TEST_SERVERS=containers chooses the images that compose.yaml names and needs a Docker engine; otherwise it is the
wheels. Either way a server has a port of the loopback and its data in a folder, can be killed, frozen and started again,
and keeps both; who uses it does not see which it is.
"""

import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import yaml

ROOT = Path(__file__).parents[2]
_ENDING_SECONDS = 10
_PORTS_EACH = 2_500
_PORTS_BEGIN = 12_000 + _PORTS_EACH * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8)
_offsets = itertools.count(secrets.randbelow(_PORTS_EACH))


class Server(Protocol):
    """One server's process, wherever it runs."""

    def start(self) -> None: ...
    def is_alive(self) -> bool: ...
    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""

    def wait(self) -> None:
        """Wait for its end."""

    def remove(self) -> None:
        """Leave nothing of it but its folder."""

    def log(self) -> str: ...


@dataclass(frozen=True)
class Place:
    """Where servers come from.

    Attributes:
        containers: From images.
        address: That a server must listen on to be reached on the loopback.
    """

    containers: bool

    @property
    def address(self) -> str:
        return "0.0.0.0" if self.containers else "127.0.0.1"

    def server(self, service: str, program: str, argv: list[str], folder: Path, port: int) -> Server:
        """One that does not run yet. `service` is its name in compose.yaml, `program` where the wheel has it."""
        if self.containers:
            return Container(image_of(service), [service_program(service), *argv], folder, port)
        return Child([program, *argv], folder / f"{service}.log")


def chosen() -> Place:
    """What the environment asks for."""
    wish = os.environ.get("HOSTLER_TEST_SERVERS", "wheels")
    if wish not in {"wheels", "containers"}:
        pytest.fail(f"HOSTLER_TEST_SERVERS={wish}: write wheels or containers")
    return Place(containers=wish == "containers")


def image_of(service: str) -> str:
    """The image of a service in compose.yaml, or the one that the environment names instead."""
    text = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][service]["image"]
    found = re.fullmatch(r"\$\{(\w+):-(\S+)\}", text)
    assert found is not None, text
    return os.environ.get(found[1]) or found[2]


def service_program(service: str) -> str:
    """The program that compose.yaml runs for a service."""
    entrypoint = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][service]["entrypoint"]
    return str(entrypoint[0])


def free_port() -> int:
    """A port of the loopback that nobody listens on, and that nobody else takes before it is used.

    It lies below those that the kernel gives to connections, in the part of this test process, and is given once.
    """
    while True:
        offset = next(_offsets) % _PORTS_EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", _PORTS_BEGIN + offset))
            except OSError:
                continue
        return _PORTS_BEGIN + offset


class Child:
    """A child process."""

    def __init__(self, argv: list[str], log: Path) -> None:
        self._argv = argv
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._argv, stdout=log, stderr=log)

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def wait(self) -> None:
        if self._process is not None:
            self._process.wait(timeout=_ENDING_SECONDS)

    def remove(self) -> None:
        self._process = None

    def log(self) -> str:
        return self._log.read_text(errors="replace")


class Container:
    """A container. Its folder has the same path inside, so that one configuration file serves both."""

    def __init__(self, image: str, argv: list[str], folder: Path, port: int) -> None:
        # Late: only who chose containers needs the package's clients.
        from testcontainers.core.container import DockerContainer

        self._container = (
            DockerContainer(image)
            .with_volume_mapping(str(folder), str(folder), "rw")
            .with_kwargs(
                entrypoint=argv[:1],
                user=f"{os.getuid()}:{os.getgid()}",
                cap_drop=["ALL"],
                read_only=True,
            )
            .with_command(argv[1:])
        )
        # Its method for this knows no address and would publish the port to everyone.
        self._container.ports = {f"{port}/tcp": ("127.0.0.1", port)}
        self._made = False

    def start(self) -> None:
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True

    def is_alive(self) -> bool:
        return self._made and self._state() in {"created", "running"}

    def send(self, number: signal.Signals) -> None:
        if self.is_alive():
            self._container.get_wrapped_container().kill(number.name)

    def wait(self) -> None:
        if self._made:
            self._container.get_wrapped_container().wait(timeout=_ENDING_SECONDS)

    def remove(self) -> None:
        if self._made:
            self._container.stop(force=True, delete_volume=True)
            self._made = False

    def log(self) -> str:
        return b"\n".join(self._container.get_logs()).decode(errors="replace") if self._made else ""

    def _state(self) -> str:
        container = self._container.get_wrapped_container()
        container.reload()
        return str(container.status)
