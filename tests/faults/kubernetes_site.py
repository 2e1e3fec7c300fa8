"""A cluster of virtual machines and the services that look after it, all as processes: two schedulers and two provisioners over a fake
Kubernetes, an api for the users' wishes, and a NATS between them.

What is judged comes from outside of Hostler: from the fake cluster's own log, from the stream, and from what the users were answered.
"""

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from hostler_domain.api_keys import make_key
from tests.faults import kubernetes_judge as judge
from tests.faults.checker import Violation, check, unsettled
from tests.faults.facts import MARK, Event, Kill, Notebook, Request, Wish, read_facts
from tests.faults.hands import Addresses, Hands
from tests.faults.stream import StreamReader
from tests.support.kubernetes.config import GPU, ClusterConfig, NodeShape
from tests.support.kubernetes.journal import Written
from tests.support.kubernetes.process import ClusterProcess
from tests.support.servers import free_port
from tests.support.services import PASSWORDS, Service, Services, service_processes

NAMESPACE, CLUSTER = "hostler-replicas", "gpus"
VMIS = "virtualmachineinstances"
CALM_SECONDS = 60.0
_ADMIN_KEY = make_key(b"of a cluster's user of old times")
_POLL_SECONDS, _RESTART_SECONDS = 0.2, 20.0


def gpu_job(mark: str, *, name: str, replicas: int, tokens: int = 4) -> dict[str, object]:
    """A creation: machines with one GPU each."""
    return {
        "model": "made-up/model",
        "name": name,
        "runtime": "vllm",
        "hardware_profile": "gpu.a100",
        "gpu_count": 1,
        "labels": {MARK: mark},
        "scaling": {"min_replicas": replicas, "max_replicas": replicas},
    }


@dataclass
class KubernetesSite:
    """What runs, and how to ask it."""

    folder: Path
    services: Services
    cluster: ClusterProcess
    addresses: Addresses
    notebook: Notebook
    reader: StreamReader
    api_port: int
    settings: dict[str, str]
    """Further settings of the provisioners."""
    running: dict[str, Service] = field(default_factory=dict)
    people: list[Hands] = field(default_factory=list)

    def start(self, name: str) -> Service:
        """Start a service by its name, such as `provisioner-2`; also again."""
        kind = name.partition("-")[0]
        settings = {
            "api": {"port": str(self.api_port), "admin_key_file": str(self.folder / "admin.key")},
            "scheduler": {"lease_seconds": "2", "node_stale_seconds": "3600"},
            "provisioner": self.settings,
        }[kind]
        service = self.services.start(kind, name, **settings)
        self.running[name] = service
        return service

    def hands(self, user: str) -> Hands:
        """Somebody who asks; lets go at the end by itself."""
        self.people.append(Hands(user, self.addresses, self.notebook))
        return self.people[-1]

    def requests(self) -> list[Request]:
        return read_facts(self.folder / "requests.jsonl", Request)

    def events(self) -> list[Event]:
        return self.reader.catch_up()

    def machines(self, job_id: str | None = None) -> list[Written]:
        """The VMIs that are there now, of one job or of all."""
        found = judge.machines(self.cluster.journal())
        return [each for of, each_of in found.items() if job_id in (None, of) for each in each_of]

    def running_machines(self, job_id: str) -> list[Written]:
        return [each for each in self.machines(job_id) if each.phase == "Running" and not each.deleting]

    def replicas_there(self) -> dict[str, tuple[int, ...]]:
        """The replicas that have a VMI, in the words of the checker, to which a process and a VMI are the same."""
        return {each.labels["hostler.dev/replica"]: (each.revision,) for each in self.machines()}

    def create(self, hands: Hands, name: str, replicas: int = 1) -> str:
        mark = hands.new_mark()
        made = hands.create(gpu_job(mark, name=name, replicas=replicas), mark)
        assert made.job_id is not None, made.said
        return made.job_id

    def until_running(self, job_id: str, replicas: int = 1, *, timeout_seconds: float = CALM_SECONDS) -> None:
        self.until(
            lambda: len(self.running_machines(job_id)) == replicas,
            f"job {job_id} has {replicas} running machines",
            timeout_seconds=timeout_seconds,
        )

    def until_ready(self, job_id: str, replicas: int = 1) -> None:
        """Until so many replicas were told to be ready and are not told to have ended since."""

        def there() -> bool:
            ready: set[str | None] = set()
            for event in self.events():
                if event.job_id == job_id and event.name == "replica.ready":
                    ready.add(event.replica_id)
                elif event.name in ("replica.draining", "replica.failed", "replica.terminated"):
                    ready.discard(event.replica_id)
            return len(ready) == replicas

        self.until(there, f"job {job_id} has {replicas} ready replicas")

    def until(self, holds: Callable[[], object], what: str, *, timeout_seconds: float = CALM_SECONDS) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {timeout_seconds:g} s: {what}"
            time.sleep(_POLL_SECONDS)

    def until_calm(self) -> list[Violation]:
        """What is still not as it was wished when a minute is over; nothing as soon as all is."""
        deadline = time.monotonic() + CALM_SECONDS
        while problems := unsettled(self.events(), self.replicas_there()):
            if time.monotonic() > deadline:
                return problems
            time.sleep(_POLL_SECONDS)
        return []

    def delete_all(self, hands: Hands) -> None:
        """Ask for the deletion of every job that still lives, and wait until nothing of any is in the cluster."""
        events = self.events()
        over = {each.job_id for each in events if each.name in ("job.deleted", "job.delete_requested")}
        for job_id in sorted({each.job_id for each in events} - over):
            hands.ask(Wish.DELETE, job_id)
        # What is left when the time is over is told by the judgement.
        deadline = time.monotonic() + CALM_SECONDS
        while judge.living(self.cluster.journal()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def judgement(self, jobs: tuple[str, ...] = ()) -> list[Violation]:
        """All that was wrong up to now; `jobs` are those that may still have something in the cluster."""
        events = self.events()
        scheduled = {
            each.replica_id for each in events if each.name == "replica.scheduled" and each.replica_id
        }
        return [
            *judge.judge(self.cluster.journal(), jobs=set(jobs), replicas=scheduled),
            *check(self.requests(), events, []),
        ]

    def leader(self, kind: str) -> Service:
        """The one of two that holds the lease."""
        found: list[Service] = []

        def there() -> bool:
            found[:] = [each for each in self.running.values() if each.kind == kind and leads(each)]
            return len(found) == 1

        self.until(there, f"one {kind} leads")
        return found[0]


def leads(service: Service) -> bool:
    """By what it wrote to its log: a process that stands still can't be asked."""
    flips = [*service.logged("lease.held"), *service.logged("lease.not_held")]
    last = max(flips, key=lambda line: str(line["timestamp"]), default=None)
    return last is not None and last["event"] == "lease.held"


class ServiceKiller(threading.Thread):
    """Ends services at random by SIGKILL and starts each again, as whatever supervises them would."""

    def __init__(
        self,
        site: KubernetesSite,
        notebook: Notebook,
        rng: random.Random,
        *,
        kills: int,
        gaps: tuple[float, float],
    ) -> None:
        super().__init__(name="killer")
        self._site = site
        self._notebook = notebook
        self._rng = rng
        self._kills = kills
        self._gaps = gaps

    def run(self) -> None:
        for _ in range(self._kills):
            name = self._rng.choice(sorted(self._site.running))
            service = self._site.running[name]
            self._notebook.add(Kill(time.monotonic(), name, service.process.pid))
            service.kill()
            again = self._site.start(name)
            deadline = time.monotonic() + _RESTART_SECONDS
            # Half of the time the next is ended while this one is still on its way.
            patient = self._rng.random() < 0.5
            while patient and not again.ready and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            time.sleep(self._rng.uniform(*self._gaps))


def nodes(count: int, gpus: int = 8) -> tuple[NodeShape, ...]:
    return tuple(NodeShape(f"node-{number}", {GPU: gpus}) for number in range(count))


@contextmanager
def kubernetes_site(
    folder: Path, config: ClusterConfig | None = None, *, twins: bool = True, **provisioning: str
) -> Iterator[KubernetesSite]:
    """Everything, from when it is ready until the end of the block; then nothing of it runs any more."""
    cluster = ClusterProcess(folder / "cluster", config)
    cluster.start()
    try:
        _make_namespace(cluster)
        with service_processes(folder) as services:
            site = _site(folder, services, cluster, provisioning)
            names = ["api-1", "scheduler-1", "provisioner-1"] + (
                ["scheduler-2", "provisioner-2"] if twins else []
            )
            for name in names:
                site.start(name)
            try:
                for service in site.running.values():
                    site.until(lambda service=service: service.ready, f"{service.name} is ready")
                yield site
            finally:
                for hands in site.people:
                    hands.close()
                site.notebook.close()
    finally:
        cluster.stop()


def _site(
    folder: Path, services: Services, cluster: ClusterProcess, provisioning: dict[str, str]
) -> KubernetesSite:
    for name, secret in (("admin.key", _ADMIN_KEY), ("operator.password", PASSWORDS["operator"])):
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(secret)
    asyncio.run(_declare(services))
    port = free_port()
    settings = {
        "backend": "kubevirt",
        "cluster": CLUSTER,
        "lease_seconds": "2",
        "resync_seconds": "1",
        "node_report_seconds": "1",
        "unhealthy_timeout_seconds": "3",
        "drain_timeout_seconds": "5",
        "kubernetes_kubeconfig": str(cluster.kubeconfig),
        "kubernetes_namespace": NAMESPACE,
        "kubernetes_images": json.dumps({"vllm": "docker://registry.example/guest:1"}),
        "kubernetes_request_timeout_seconds": "2",
        "kubernetes_probe_period_seconds": "0.3",
        **provisioning,
    }
    return KubernetesSite(
        folder,
        services,
        cluster,
        Addresses(f"http://127.0.0.1:{port}", "http://127.0.0.1:9", _ADMIN_KEY),
        Notebook(folder / "requests.jsonl"),
        StreamReader(services.nats.url, folder / "operator.password"),
        port,
        settings,
    )


async def _declare(services: Services) -> None:
    """The first connection of the operator makes streams and buckets."""
    await (await services.operator()).drain()


def _make_namespace(cluster: ClusterProcess) -> None:
    answer = httpx2.post(
        f"{cluster.url}/api/v1/namespaces",
        json={"metadata": {"name": NAMESPACE}},
        headers=cluster.admin_headers,
        verify=False,
    )
    assert answer.status_code == 201, answer.text


def scaled(variable: str, usual: int) -> int:
    """How much of something a run has: little every day, more where the variable says so."""
    return int(os.environ.get(variable, usual))
