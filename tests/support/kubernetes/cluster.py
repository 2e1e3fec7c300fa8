"""A fake cluster in one piece: API server, garbage collector, fake KubeVirt and CDI, and what tests may do to them.

In a test, take the fixture `kubernetes_cluster`, write `cluster.kubeconfig(path)`, and point any client at it. `cluster.faults.add({...})`
makes requests fail, `cluster.journal` tells what happened, `cluster.vmi(namespace, name, "vanish")` breaks a machine.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.kubernetes import admin
from tests.support.kubernetes.access import Access
from tests.support.kubernetes.catalog import NAMESPACES, NODES, Resource
from tests.support.kubernetes.collector import Collector
from tests.support.kubernetes.config import ClusterConfig, NodeShape
from tests.support.kubernetes.faults import Faults
from tests.support.kubernetes.guests import SimulatedGuests
from tests.support.kubernetes.journal import Journal
from tests.support.kubernetes.server import ApiServer
from tests.support.kubernetes.store import Body, Store
from tests.support.kubernetes.verbs import Options, Verbs
from tests.support.kubernetes.virt_controller import Guests, NoGuests, VirtController, is_absence

_SYSTEM = Options(manager="kubelet", by_kubevirt=True)


class FakeCluster:
    def __init__(
        self,
        config: ClusterConfig | None = None,
        journal_path: Path | None = None,
        guests: Guests | None = None,
    ) -> None:
        self.config = config or ClusterConfig()
        self.journal = Journal(journal_path)
        self.store = Store(self.journal, self.config.history_max)
        self.access = Access(self.store)
        self.faults = Faults(self.config.seed)
        self.api = ApiServer(
            self.store, self.access, self.faults, bookmark_seconds=self.config.bookmark_seconds
        )
        self.verbs: Verbs = self.api.verbs
        self.port = 0
        self._collector = Collector(self.store, self.verbs)
        self._tasks: set[asyncio.Task[None]] = set()
        guests = guests or (SimulatedGuests() if self.config.guests else NoGuests())
        self._kubevirt = VirtController(self, guests, self._spawn)
        if self.config.virt_controller:
            self.store.listen(self._kubevirt.notice)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        for name in ("default", "kube-system"):
            self.add(NAMESPACES, {"metadata": {"name": name}})
        for shape in self.config.nodes:
            self.add_node(shape)
        app = web.Application(client_max_size=8 * 1024 * 1024)
        admin.add_routes(app, self)
        app.router.add_route("*", "/{path:.*}", self.api.handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.config.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._spawn(self._collect())

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.journal.close()
        if self.api.errors:
            # A controller of the fake that fell over would make every test say something else.
            raise self.api.errors[0]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not is_absence(error):
            self.api.errors.append(error)

    def vmi(self, namespace: str, name: str, how: str) -> None:
        """Break a VMI: vanish, stick and unstick (its deletion), fail, succeed, unknown, evict, not_ready, ready."""
        self._kubevirt.break_vmi(namespace, name, how)

    def node(self, name: str, how: str) -> None:
        """Break a node: lose, return."""
        self._kubevirt.break_node(name, how)

    def data_volume(self, name: str, how: str) -> None:
        """`fail` the import of a DataVolume of this name, also a future one, or let it go on with `heal`."""
        failing = self._kubevirt.storage.failing
        (failing.add if how == "fail" else failing.discard)(name)
        self.store.wake()

    async def _collect(self) -> None:
        while True:
            await self.store.changed()
            await asyncio.sleep(self.config.timings.collect_seconds)
            self._collector.settle()

    def kubeconfig(self, path: Path, token: str | None = None, namespace: str = "default") -> Path:
        """A file by which any client finds this cluster, as the administrator or with a given token."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.kubeconfig_body(token, namespace)), encoding="utf-8")
        return path

    def kubeconfig_body(self, token: str | None = None, namespace: str = "default") -> Body:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [
                {"name": "fake", "context": {"cluster": "fake", "user": "user", "namespace": namespace}}
            ],
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "user", "user": {"token": token or self.access.admin_token}}],
        }

    def add(self, resource: Resource, body: Body, namespace: str = "") -> Body:
        """An object that the cluster itself makes."""
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self.verbs.create(resource, namespace, whole, _SYSTEM)

    def set_status(self, resource: Resource, namespace: str, name: str, status: dict[str, Any]) -> Body:
        """Merge into the status, as the controllers of the cluster do."""
        return self.verbs.update(
            resource,
            namespace,
            name,
            lambda body: {**body, "status": {**body.get("status", {}), **status}},
            _SYSTEM,
            "status" if resource.status else "",
        )

    def add_node(self, shape: NodeShape) -> None:
        labels = {"kubernetes.io/hostname": shape.name, "kubevirt.io/schedulable": "true", **shape.labels}
        if shape.product:
            labels["nvidia.com/gpu.product"] = shape.product
        self.add(NODES, {"metadata": {"name": shape.name, "labels": labels}, "spec": {}})
        amounts = {
            "cpu": str(shape.cpu),
            "memory": shape.memory,
            "pods": "110",
            **{name: str(count) for name, count in shape.devices.items()},
        }
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        self.set_status(
            NODES, "", shape.name, {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}
        )


@asynccontextmanager
async def running(
    config: ClusterConfig | None = None, journal_path: Path | None = None, guests: Guests | None = None
) -> AsyncIterator[FakeCluster]:
    """A cluster in this loop, until the end of the block."""
    cluster = FakeCluster(config, journal_path, guests)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()
