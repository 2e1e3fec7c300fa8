"""Three real nats-servers on the loopback, from the configuration that deploy/kubernetes ships.

Only addresses and folders are put in the place of those of pods; users, permissions, the servers' own login and how the log is
written are the shipped ones. Each server is a child process that can be killed and started again with its data.
"""

import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostler_cli.supervisor.cluster_secrets import secret_files
from hostler_cli.supervisor.conf_files import NATS_OPERATOR
from tests.support.manifests import folder, one
from tests.support.nats_server import binary
from tests.support.servers import Child, free_port

_READY_SECONDS = 60.0
_POD_PORTS = {"4222": "client", "8222": "monitor", "6222": "route"}


class NatsCluster:
    """The servers, and the secrets that go with them."""

    def __init__(self, home: Path, servers: int = 3) -> None:
        self.secrets = secret_files("hostler", servers)
        config = one(folder("base"), "ConfigMap", "hostler-nats")["data"]
        ports = [{part: free_port() for part in _POD_PORTS.values()} for _ in range(servers)]
        self._monitors = [each["monitor"] for each in ports]
        self.url = ",".join(f"nats://127.0.0.1:{each['client']}" for each in ports)
        self.children: list[Child] = []
        for number, own in enumerate(ports):
            place = home / f"hostler-nats-{number}"
            for part in ("config", "secrets", "data"):
                (place / part).mkdir(parents=True)
            for name, text in config.items():
                (place / "config" / name).write_text(_on_this_machine(text, own, place))
            for name, text in self.secrets["nats"].items():
                (place / "secrets" / name).write_text(_with_routes(text, [each["route"] for each in ports]))
            environment = [f"SERVER_NAME={place.name}"]
            argv = ["env", *environment, binary(), "-c", str(place / "config/nats.conf")]
            self.children.append(Child(argv, place / "log"))

    def password(self, user: str) -> str:
        """Of a service, or of people: the user `operator`."""
        return self.secrets["nats" if user == NATS_OPERATOR else user]["nats.password"]

    def start(self) -> None:
        for child in self.children:
            child.start()
        self.until_ready(*range(len(self.children)))

    def until_ready(self, *numbers: int) -> None:
        """Wait until these answer as the readiness probe asks them."""
        deadline = time.monotonic() + _READY_SECONDS
        for number in numbers:
            while not self._is_ready(number):
                if time.monotonic() > deadline or not self.children[number].is_alive():
                    raise RuntimeError(
                        f"server {number} is not ready:\n{self.children[number].log()[-3000:]}"
                    )
                time.sleep(0.05)

    def kill(self, number: int) -> None:
        """End one by force."""
        self.children[number].send(signal.SIGKILL)
        self.children[number].wait()

    def stop(self) -> None:
        for child in self.children:
            if child.is_alive():
                child.send(signal.SIGKILL)
                child.wait()
            child.remove()

    def leader_of(self, stream: str) -> int | None:
        """Which server leads a stream, as the servers that can be asked say; None while none does."""
        for port in self._monitors:
            try:
                answer = _get(port, "/jsz?streams=true&accounts=true")
            except (OSError, urllib.error.URLError):
                continue
            for account in json.loads(answer).get("account_details", ()):
                for each in account.get("stream_detail", ()):
                    leader = (each.get("cluster") or {}).get("leader")
                    if each["name"] == stream and leader:
                        return int(re.sub(r"\D", "", leader))
        return None

    def _is_ready(self, number: int) -> bool:
        try:
            _get(self._monitors[number], "/healthz?js-server-only=true")
        except (OSError, urllib.error.URLError):
            return False
        return True


@contextmanager
def nats_cluster(home: Path) -> Iterator[NatsCluster]:
    """A cluster that runs, and is gone afterwards."""
    cluster = NatsCluster(home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _on_this_machine(text: str, ports: dict[str, int], place: Path) -> str:
    for pod_port, part in _POD_PORTS.items():
        text = text.replace(f'"0.0.0.0:{pod_port}"', f'"127.0.0.1:{ports[part]}"')
    text = text.replace('"/var/lib/hostler/nats"', json.dumps(str(place / "data")))
    return text.replace('"/var/run/nats/nats.pid"', json.dumps(str(place / "nats.pid")))


def _with_routes(text: str, ports: list[int]) -> str:
    for number, port in enumerate(ports):
        text = text.replace(f"@hostler-nats-{number}.hostler-nats-servers:6222", f"@127.0.0.1:{port}")
    return text


def _get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as answer:
        return bytes(answer.read())
