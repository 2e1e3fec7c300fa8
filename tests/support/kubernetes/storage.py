"""A fake CDI and a fake binder of claims: DataVolumes are imported step by step, claims are bound, and kept while a VMI uses them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tests.support.kubernetes.admission import CLAIM_FINALIZER
from tests.support.kubernetes.catalog import CLAIMS, DATA_VOLUMES, VMIS
from tests.support.kubernetes.refusals import Refusal
from tests.support.kubernetes.store import Body, Change
from tests.support.kubernetes.verbs import Options

if TYPE_CHECKING:
    from tests.support.kubernetes.cluster import FakeCluster

_CDI = Options(manager="cdi-controller", by_kubevirt=True)
_STEPS = 8
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Storage:
    def __init__(self, cluster: "FakeCluster", spawn: Spawn) -> None:
        self._cluster = cluster
        self._store = cluster.store
        self._spawn = spawn
        self.failing: set[str] = set()
        """Names of DataVolumes whose import does not get on."""
        self._closing: set[str] = set()

    def notice(self, change: Change) -> None:
        """Called after every change of the store."""
        if change.kind == "ADDED" and change.resource is DATA_VOLUMES:
            self._spawn(self._import(change.namespace, change.after["metadata"]["name"]))
        elif change.kind == "ADDED" and change.resource is CLAIMS:
            self._spawn(self._bind(change.namespace, change.after["metadata"]["name"]))
        elif change.resource is CLAIMS and "deletionTimestamp" in change.after["metadata"]:
            uid = change.after["metadata"]["uid"]
            if uid not in self._closing:
                self._closing.add(uid)
                self._spawn(self._close(change.namespace, change.after["metadata"]["name"], uid))

    def ready(self, namespace: str, volume: Body) -> bool:
        """Whether a volume of a VMI can be mounted."""
        if "dataVolume" in volume:
            name = volume["dataVolume"]["name"]
            data_volume = self._store.find(DATA_VOLUMES, namespace, name)
            # CDI may have cleared a finished one away; its claim is what counts then.
            if data_volume is not None:
                return (data_volume.body.get("status") or {}).get("phase") == "Succeeded"
            return self._bound(namespace, name)
        claim = volume.get("persistentVolumeClaim") or (volume.get("ephemeral") or {}).get(
            "persistentVolumeClaim"
        )
        return claim is None or self._bound(namespace, claim["claimName"])

    def _bound(self, namespace: str, name: str) -> bool:
        claim = self._store.find(CLAIMS, namespace, name)
        return claim is not None and (claim.body.get("status") or {}).get("phase") == "Bound"

    async def _import(self, namespace: str, name: str) -> None:
        timings = self._cluster.config.timings
        body = self._store.get(DATA_VOLUMES, namespace, name).body
        spec = body["spec"]
        wanted = spec.get("storage") or spec.get("pvc") or {}
        self._make_claim(namespace, body, wanted)
        blank = "blank" in (spec.get("source") or {})
        self._tell(namespace, name, "ImportScheduled", "N/A")
        for step in range(1, _STEPS):
            await asyncio.sleep(timings.import_seconds / _STEPS)
            while name in self.failing:
                self._tell(namespace, name, "ImportInProgress", f"{100 * step / _STEPS:.2f}%", failing=True)
                await self._store.changed()
            if not blank:
                self._tell(namespace, name, "ImportInProgress", f"{100 * step / _STEPS:.2f}%")
        await asyncio.sleep(timings.import_seconds / _STEPS)
        while not self._bound(namespace, name):
            await self._store.changed()
        self._tell(namespace, name, "Succeeded", "100.0%")

    def _make_claim(self, namespace: str, data_volume: Body, wanted: Body) -> None:
        metadata = data_volume["metadata"]
        owner = {
            "apiVersion": DATA_VOLUMES.api_version,
            "kind": DATA_VOLUMES.kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        try:
            self._cluster.add(
                CLAIMS,
                {
                    "metadata": {
                        "name": metadata["name"],
                        "labels": {**(metadata.get("labels") or {}), "app": "containerized-data-importer"},
                        "ownerReferences": [owner],
                    },
                    "spec": {"accessModes": ["ReadWriteOnce"], **wanted},
                },
                namespace,
            )
        except Refusal as refusal:
            if refusal.reason != "AlreadyExists":
                raise

    def _tell(self, namespace: str, name: str, phase: str, progress: str, *, failing: bool = False) -> None:
        done = phase == "Succeeded"
        running = {"type": "Running", "status": "False" if failing or done else "True"}
        running["reason"] = "Error" if failing else "Completed" if done else "Pod is running"
        if failing:
            running["message"] = "Unable to process data: the source can't be read"
        conditions = [
            {"type": "Bound", "status": "True" if self._bound(namespace, name) else "False"},
            running,
            {"type": "Ready", "status": "True" if done else "False"},
        ]
        self._cluster.set_status(
            DATA_VOLUMES,
            namespace,
            name,
            {"phase": phase, "progress": progress, "claimName": name, "conditions": conditions},
        )

    async def _bind(self, namespace: str, name: str) -> None:
        await asyncio.sleep(self._cluster.config.timings.bind_seconds)
        claim = self._store.get(CLAIMS, namespace, name).body["spec"]
        size = ((claim.get("resources") or {}).get("requests") or {}).get("storage", "1Gi")
        self._cluster.set_status(CLAIMS, namespace, name, {"phase": "Bound", "capacity": {"storage": size}})

    async def _close(self, namespace: str, name: str, uid: str) -> None:
        """A claim goes when no VMI uses it any more."""
        while any(self._uses(each.body, name) for each in self._store.each(VMIS, namespace)):
            await self._store.changed()
        claim = self._store.find(CLAIMS, namespace, name)
        if claim is None or claim.uid != uid:
            return
        self._cluster.verbs.update(
            CLAIMS,
            namespace,
            name,
            lambda body: {
                **body,
                "metadata": {
                    **body["metadata"],
                    "finalizers": [
                        each for each in body["metadata"].get("finalizers", ()) if each != CLAIM_FINALIZER
                    ],
                },
            },
            _CDI,
        )

    @staticmethod
    def _uses(vmi: Body, name: str) -> bool:
        if (vmi.get("status") or {}).get("phase") in (None, "Pending", "Succeeded", "Failed"):
            # Without a launcher pod nothing holds the claim.
            return False
        for volume in vmi["spec"].get("volumes") or ():
            claim = volume.get("persistentVolumeClaim") or (volume.get("ephemeral") or {}).get(
                "persistentVolumeClaim"
            )
            if name in ((volume.get("dataVolume") or {}).get("name"), (claim or {}).get("claimName")):
                return True
        return False
