"""An installation as deploy/kubernetes ships it, on the loopback: real servers and services from the rendered manifests.

What pods have by the manifests the processes have here: configuration, variables, commands, files of their Secret. Only places
are others: paths lie below a folder, ports are free ones, and Kubernetes is the fake cluster, in which the shipped roles hold
and which the provisioner enters with the token of its service account.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from hostler_cli.supervisor.binaries import valkey_server
from tests.support.kubernetes.config import ClusterConfig
from tests.support.kubernetes.process import ClusterProcess
from tests.support.manifests import Document, folder, one, pods
from tests.support.nats_cluster import NatsCluster
from tests.support.servers import Child, free_port

SERVICES = ("api", "scheduler", "provisioner", "router", "autoscaler")
_ACCOUNT = "hostler-provisioner"
_PATHS = {
    "Namespace": "api/v1/namespaces",
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "Role": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ClusterRole": "apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
"""What the fake cluster takes of the manifests, in the order in which it has to come."""


@dataclass
class Shipped:
    """Where everything is; `start` begins with nothing."""

    home: Path
    nats: NatsCluster = field(init=False)
    cluster: ClusterProcess = field(init=False)
    ports: dict[str, int] = field(default_factory=dict)
    _valkey: Child | None = None
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.home / "nats").mkdir()
        self.nats = NatsCluster(self.home / "nats")
        self.cluster = ClusterProcess(self.home / "kubernetes", ClusterConfig(guests=True))
        self.ports = {
            each: free_port() for each in ("valkey", "api", "router", *(f"{each}-ops" for each in SERVICES))
        }

    @property
    def admin_key(self) -> str:
        return self.nats.secrets["api"]["admin.key"]

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def start(self) -> None:
        self.nats.start()
        self._start_valkey()
        self.cluster.start()
        self._apply()
        found = folder("base")
        settings = one(found, "ConfigMap", "hostler-settings")["data"]
        for name, pod in pods(found):
            if (service := name.removeprefix("hostler-")) in SERVICES:
                (container,) = pod["spec"]["containers"]
                self._start(service, settings, container)

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(timeout=60)
        if self._valkey is not None:
            self._valkey.send(signal.SIGTERM)
            self._valkey.wait()
        self.nats.stop()
        self.cluster.stop()

    def not_ready(self) -> dict[str, str]:
        """What the readiness probes of pods that are not ready say."""
        found = {}
        for service in SERVICES:
            if (code := self._processes[service].poll()) is not None:
                raise RuntimeError(f"{service} ended with {code}:\n{self.log(service)[-3000:]}")
            try:
                answer = httpx2.get(f"{self.url(f'{service}-ops')}/readyz", timeout=3)
            except httpx2.HTTPError as error:
                found[service] = str(error)
                continue
            if answer.status_code != 200:
                found[service] = answer.text
        return found

    def log(self, service: str) -> str:
        return (self.home / f"{service}.log").read_text(errors="replace")

    def _start(self, service: str, settings: dict[str, str], container: Document) -> None:
        place = self.home / service
        (place / "secrets").mkdir(parents=True)
        for name, text in self.nats.secrets[service].items():
            file = place / "secrets" / name
            file.touch(mode=0o600)
            file.write_text(text.replace("hostler-valkey:6379", f"127.0.0.1:{self.ports['valkey']}"))
        given = dict(settings)
        for each in container["env"]:
            given[each["name"]] = each.get("value", f"hostler-{service}-0")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HOSTLER_")}
        environment |= {key: self._here(service, key, value) for key, value in given.items()}
        if service == "provisioner":
            environment["HOSTLER_PROVISIONER_KUBERNETES_KUBECONFIG"] = str(self._kubeconfig(place))
        _, *arguments = container["command"]
        with (self.home / f"{service}.log").open("ab") as log:
            self._processes[service] = subprocess.Popen(
                [sys.executable, *arguments], env=environment, stdout=log, stderr=log, cwd=place
            )

    def _here(self, service: str, name: str, value: str) -> str:
        if name == "HOSTLER_NATS_URL":
            return self.nats.url
        if name.endswith("_OPS_PORT"):
            return str(self.ports[f"{service}-ops"])
        if name in {"HOSTLER_API_PORT", "HOSTLER_ROUTER_PORT"}:
            return str(self.ports[service])
        place = str(self.home / service)
        value = value.replace("/etc/hostler/secrets", f"{place}/secrets").replace(
            "/var/lib/hostler", f"{place}/data"
        )
        return "127.0.0.1" if value == "0.0.0.0" else value

    def _start_valkey(self) -> None:
        place = self.home / "valkey"
        for part in ("data", "secrets"):
            (place / part).mkdir(parents=True)
        for name, text in self.nats.secrets["valkey"].items():
            (place / "secrets" / name).write_text(text)
        conf = one(folder("base"), "ConfigMap", "hostler-valkey")["data"]["valkey.conf"]
        conf = conf.replace("/etc/valkey/secrets", f"{place}/secrets").replace(
            "/var/lib/hostler", f"{place}/data"
        )
        conf = conf.replace("port 6379", f"port {self.ports['valkey']}").replace("bind *", "bind 127.0.0.1")
        (place / "valkey.conf").write_text(conf)
        self._valkey = Child([str(valkey_server(os.environ)), str(place / "valkey.conf")], place / "log")
        self._valkey.start()

    def _apply(self) -> None:
        """Make what the fake cluster takes of the manifests, as `kubectl apply` does."""
        found = folder("base")
        for kind, path in _PATHS.items():
            for each in found:
                if each["kind"] == kind:
                    place = path.format(each["metadata"].get("namespace"))
                    self._ask("POST", f"{place}?fieldValidation=Strict", each)

    def _kubeconfig(self, place: Path) -> Path:
        """As the pod's service account."""
        path = f"api/v1/namespaces/hostler/serviceaccounts/{_ACCOUNT}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": []},
        }
        token = self._ask("POST", path, request)["status"]["token"]
        config = json.loads(self.cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        target = place / "kubeconfig"
        target.touch(mode=0o600)
        target.write_text(json.dumps(config))
        return target

    def _ask(self, method: str, path: str, body: object) -> Any:
        answer = httpx2.request(
            method,
            f"{self.cluster.url}/{path}",
            json=body,
            headers=self.cluster.admin_headers,
            verify=False,
            timeout=30,
        )
        assert answer.status_code < 300 or answer.status_code == 409, (path, answer.text)
        return answer.json()


@contextmanager
def shipped(home: Path, *, ready_seconds: float = 120.0) -> Iterator[Shipped]:
    """All of it, every pod ready; it is gone afterwards."""
    installation = Shipped(home)
    try:
        installation.start()
        deadline = time.monotonic() + ready_seconds
        while waiting := installation.not_ready():
            assert time.monotonic() < deadline, waiting
            time.sleep(0.2)
        yield installation
    finally:
        installation.stop()
